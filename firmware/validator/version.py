"""The application's version: the image manifest, the hello and `faretap info` read it."""

VERSION = "0.1.0"
