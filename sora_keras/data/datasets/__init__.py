"""Readers and makers of datasets, one file each."""
