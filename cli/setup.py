"""Finds the sub-packages of this folder, which is the package `kworkspace.cli`."""

from setuptools import find_packages, setup

setup(
    script_name="setup.py",  # which is not a module of the package, though it stands there
    packages=[
        "kworkspace.cli",
        *(f"kworkspace.cli.{sub}" for sub in find_packages(".", exclude=["build", "build.*"])),
    ],
)
