"""The one error that a person running the tool is meant to read."""


class ModelsError(Exception):
    """Something that the user can understand and mend; the message says what to do.

    The command line prints it without a traceback and ends with status 1.
    """
