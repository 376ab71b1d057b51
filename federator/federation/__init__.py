"""The federation file: its schema, how it is read, and the settings that follow from it."""
