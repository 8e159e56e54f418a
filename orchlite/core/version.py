"""The version of orchlite."""

VERSION = "0.2.0"
