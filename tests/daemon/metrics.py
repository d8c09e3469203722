"""Metrics as their readers see them."""
import json
import subprocess

import fdialtest

# Debian's python3-prometheus-client is for its own Python.
_PARSER = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
json.dump([[f.name, f.type, f.unit, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]]
           for f in text_string_to_metric_families(sys.stdin.read())], sys.stdout)
"""


def check_with_promtool(text):
    """`promtool check metrics`, which reads the older format and knows the naming rules."""
    fdialtest.need_command("promtool")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), done.stdout + done.stderr


def parse(text):
    """As OpenMetrics 1.0, by the reference parser: {(name, (label value, …)): number}."""
    done = subprocess.run(["/usr/bin/python3", "-c", _PARSER], input=text, capture_output=True,
                          text=True, timeout=60, check=False)
    if "No module named" in done.stderr:
        fdialtest.skip("no python3-prometheus-client here")
    assert done.returncode == 0, done.stderr
    families = json.loads(done.stdout)
    for name, kind, _unit, documentation, samples in families:
        assert documentation and name.startswith("fdial_"), name
        assert kind == ("unknown" if name.endswith("_total") else "gauge"), (name, kind)
        assert samples or name == "fdial_requests_failed_total", f"{name} has no sample"
    return {(s[0], tuple(s[1].values())): s[2] for f in families for s in f[4]}
