"""Tests of the local stack's own parts and of the deployment files, without starting anything big."""
