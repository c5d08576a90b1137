"""Layers that operators, stems, blocks and heads share, one subject a file."""
