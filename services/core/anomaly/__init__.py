"""Which hours of a scope's spending are unlike its own usual ones, since when, by how much, and who moved."""

from services.core.anomaly.contributors import Contributor, contributors
from services.core.anomaly.detector import Detector, StateError
from services.core.anomaly.finding import Finding, Kind
from services.core.anomaly.sensitivity import DEFAULT, Sensitivity

__all__ = ["DEFAULT", "Contributor", "Detector", "Finding", "Kind", "Sensitivity", "StateError", "contributors"]
