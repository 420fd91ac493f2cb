"""Finds the sub-packages of each folder that setup.cfg maps to a `kworkspace.*` name."""

from setuptools import find_packages, setup
from setuptools.config.setupcfg import read_configuration

folders: dict[str, str] = read_configuration("setup.cfg")["options"]["package_dir"]
setup(
    packages=[
        name
        for package, folder in folders.items()
        for name in (package, *(f"{package}.{sub}" for sub in find_packages(folder)))
    ]
)
