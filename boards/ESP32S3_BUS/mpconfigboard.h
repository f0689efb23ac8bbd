#define MICROPY_HW_BOARD_NAME               "Faretap bus validator S3"
#define MICROPY_HW_MCU_NAME                 "ESP32-S3-WROOM-1-N16R8"

#define MICROPY_HW_I2C0_SCL                 (9)
#define MICROPY_HW_I2C0_SDA                 (8)

// The console is on USB, and on UART0 as in the official images.
#define MICROPY_HW_ENABLE_UART_REPL         (1)
