"""Every error that edgecam explains to a person, in one tree.

EdgecamError                 a known problem: what is, why, what to type next (exit 1)
|-- DataError                photos or folders that cannot be used
|-- TrainingError            a run that cannot start, go on or be read
|-- BundleError              a bundle that cannot be used
|   |-- BundleDamaged        a file is missing, changed or not what the manifest says
|   `-- BundleTooNew         written by a later edgecam
|-- EngineError              a model that cannot be opened, built or run
|   |-- BackendUnavailable   the library or the device is not here
|   |-- StalePlan            a TensorRT plan of another GPU, version or model
|   |-- BuildFailed          the builder or its parser refused the model
|   `-- WrongAnswers         an engine says otherwise here than where it was measured
|-- GateRefused              a precision was asked for and does not pass its measurement
|-- MeasurementError         times or energy that cannot be measured or compared here
|-- SettingsError            an option or a line of the settings that cannot be meant
|-- SourceError              a camera, stream, file or folder that gives no frames
`-- OutputError              a result that cannot be written (full disk, no permission)
"""


class EdgecamError(Exception):
    """A known problem. The message says what is, why, and what to type next."""


class DataError(EdgecamError):
    """Photos or folders that cannot be used."""


class TrainingError(EdgecamError):
    """A training run that cannot start, go on or be read."""


class BundleError(EdgecamError):
    """A bundle that cannot be used."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing, changed or not what the manifest says."""


class BundleTooNew(BundleError):
    """The bundle was written by a later edgecam."""


class EngineError(EdgecamError):
    """A model that cannot be opened, built or run."""


class BackendUnavailable(EngineError):
    """The library or the device that this engine needs is not here."""


class StalePlan(EngineError):
    """A TensorRT plan made for another GPU, another version or another model."""


class BuildFailed(EngineError):
    """The builder or its parser refused the model."""


class WrongAnswers(EngineError):
    """An engine says something else about the golden photos than when the bundle was measured."""


class GateRefused(EdgecamError):
    """A precision was asked for and does not pass its measurement."""


class MeasurementError(EdgecamError):
    """Times or energy that cannot be measured or compared here."""


class SettingsError(EdgecamError):
    """An option or a line of the settings that cannot be meant."""


class SourceError(EdgecamError):
    """A camera, stream, file or folder that gives no frames."""


class OutputError(EdgecamError):
    """A result that cannot be written."""
