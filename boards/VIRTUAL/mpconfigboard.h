#define MICROPY_HW_BOARD_NAME               "VIRTUAL"
#define MICROPY_HW_MCU_NAME                 "ESP32 (virtual)"

#define MICROPY_HW_I2C0_SCL                 (22)
#define MICROPY_HW_I2C0_SDA                 (21)
