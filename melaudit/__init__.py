"""Audit an image classifier before deployment: does it decide for the wrong reasons?"""
