#define MICROPY_HW_BOARD_NAME               "Faretap taxi validator"
#define MICROPY_HW_MCU_NAME                 "ESP32-C3-MINI-1"

#define MICROPY_HW_I2C0_SCL                 (5)
#define MICROPY_HW_I2C0_SDA                 (4)

// The console is on USB, and on UART0 as in the official images.
#define MICROPY_HW_ENABLE_UART_REPL         (1)
