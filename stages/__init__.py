"""The pipeline: one file per stage, run as `python -m stages.<name>`."""

from medtune.runtime.parent_process import end_with_dvc

end_with_dvc()  # here, because the imports of a stage take seconds
