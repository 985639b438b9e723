"""What can go wrong on a local machine, said so that a person can act on it."""


class LocalFleetError(Exception):
    """Base: the message is meant for the person at the terminal."""


class MissingProgram(LocalFleetError):
    """A server binary was not found on this machine."""


class StartFailed(LocalFleetError):
    """A process ended, or did not become ready in time; the message quotes its log."""


class PortTaken(LocalFleetError):
    """A port the fleet wants is in use by another program."""


class AlreadyRunning(LocalFleetError):
    """Another supervisor holds this state directory."""
