"""The stages: one module each, `run(settings, inputs, output, tracker)`; `table.py` names them in order."""
