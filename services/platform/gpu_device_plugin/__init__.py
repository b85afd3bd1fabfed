"""A device plugin that advertises simulated GPUs to the kubelet. It drives no hardware.

A pool without real GPUs gets the resource, so that placement, quotas and allocation can be run and
tested. Everything that it says, logs or sets carries the word simulated.
"""
