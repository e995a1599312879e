"""Tests of the command line's pure parts, and of what its commands say without a stack."""
