"""The chart, rendered by the real helm with each file of values in `ci/`, and what came out of it."""

import functools

import yaml

from tools import HELM, PROJECT, run

CHART = PROJECT / "deploy/helm/chorus"
# The oldest that the chart allows, and the newest whose schemas there are.
KUBERNETES = ("1.30", "1.37")


def values():
    """The files of values that must work."""
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    assert len(files) >= 5, files
    return files


def helm(*arguments):
    assert HELM.is_file(), f'helm is not installed: run "cargo xtask install" ({HELM})'
    return run(HELM, *arguments)


def template(file, *arguments, kubernetes=KUBERNETES[-1]):
    # A helm that was not built by its own makefile believes in a Kubernetes of long ago.
    there = ("--namespace", "chat", "--kube-version", kubernetes)
    return helm("template", "talk", CHART, *there, "--values", file, *arguments)


class Rendered:
    """The objects that one file of values comes to."""

    def __init__(self, file):
        done = template(file)
        assert done.returncode == 0, f"{file.name}: {done.stderr}"
        self.name = file.name
        self.objects = [found for found in yaml.safe_load_all(done.stdout) if found]
        given = yaml.safe_load((CHART / "values.yaml").read_text())
        self.values = merged(given, yaml.safe_load(file.read_text()))

    def all(self, kind):
        return [found for found in self.objects if found["kind"] == kind]

    def gateway(self, kind):
        """The one of this kind that is the gateways' and not Redis'."""
        component = "app.kubernetes.io/component"
        found = [one for one in self.all(kind) if one["metadata"]["labels"].get(component) == "gateway"]
        assert len(found) == 1, (kind, found)
        return found[0]

    def pod(self):
        return self.gateway("Deployment")["spec"]["template"]

    def container(self):
        (only,) = self.pod()["spec"]["containers"]
        return only

    def environment(self, secrets, directory):
        """The container's environment, with `secrets` for what comes from a Secret, and its files in `directory`."""
        plain = {}
        for variable in self.container()["env"]:
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                plain[variable["name"]] = "talk-chorus-abcde"
            elif "secretKeyRef" in source:
                plain[variable["name"]] = secrets[variable["name"]]
            else:
                assert variable["name"] not in plain, variable
                plain[variable["name"]] = variable["value"].replace("/etc/chorus/", f"{directory}/")
        return plain


@functools.cache
def rendered(file):
    return Rendered(file)


def everything():
    """What each file of values comes to."""
    return [rendered(file) for file in values()]


def merged(under, over):
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    return {key: merged(under.get(key), over[key]) if key in over else under[key] for key in under | over}


def service_monitor_schema():
    """The schema of the Prometheus operator's own resource, from its Go module."""
    module = "github.com/prometheus-operator/prometheus-operator@" + (
        PROJECT / "deploy/checks/prometheus-operator.txt"
    ).read_text().strip()
    cache = run("go", "env", "GOMODCACHE").stdout.strip()
    path = f"{cache}/{module}/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml"
    with open(path, encoding="utf-8") as file:
        resource = yaml.safe_load(file)
    (version,) = [one for one in resource["spec"]["versions"] if one["name"] == "v1"]
    return closed(version["schema"]["openAPIV3Schema"])


def closed(schema):
    """The same, and what it does not name is refused, as the server's strict validation does."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        result["additionalProperties"] = False
    return result
