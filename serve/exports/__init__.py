"""Exports: find one, export a study's best trial, copy one into a deployment, load those that are in use."""
