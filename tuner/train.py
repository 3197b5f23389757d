"""Does the winner deliver? The exported plan, carried out once more."""

import json
import time
from pathlib import Path
from typing import Any

from scipy.special import stdtrit

from reports.export import read_export
from studies.errors import TaskError
from studies.trial import State
