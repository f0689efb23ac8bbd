#define MICROPY_HW_BOARD_NAME               "Faretap bus validator 4M"
#define MICROPY_HW_MCU_NAME                 "ESP32-WROOM-32E-N4"

#define MICROPY_HW_I2C0_SCL                 (22)
#define MICROPY_HW_I2C0_SDA                 (21)
