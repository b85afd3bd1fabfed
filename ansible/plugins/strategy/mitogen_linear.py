"""Mitogen's strategy under its own name: ansible.cfg needs a folder that is the same everywhere."""

from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule

__all__ = ["StrategyModule"]
