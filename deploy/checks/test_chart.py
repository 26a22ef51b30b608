"""The chart: what it renders is what Kubernetes takes, says what it should, and refuses what can't work."""

import tarfile
import tempfile
import unittest
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from chart import CHART, KUBERNETES, everything, helm, rendered, service_monitor_schema, template, values
from tools import PROJECT, configuration, run

SECRETS = {
    "CHORUS_JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "CHORUS_API_KEYS": "0123456789abcdef0123456789abcdef",
    "CHORUS_REDIS_URL": "rediss-cluster://chorus:secret@redis.example:6379",
}


class Chart(unittest.TestCase):
    def test_helm_lint_has_nothing_to_say(self):
        for file in values():
            with self.subTest(values=file.name):
                done = helm("lint", "--strict", "--kube-version", KUBERNETES[-1], CHART, "--values", file)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_kubernetes_takes_all_of_it(self):
        seen = set()
        monitor = service_monitor_schema()
        for chart in everything():
            with self.subTest(values=chart.name):
                for found in chart.objects:
                    seen.add(found["kind"])
                    name = f"{found['kind']} {found['metadata']['name']}"
                    if found["kind"] == "ServiceMonitor":
                        jsonschema.validate(found, monitor)
                        continue
                    for version in KUBERNETES:
                        with self.subTest(object=name, kubernetes=version):
                            kubernetes_validate.validate(found, version, strict=True)
        self.assertEqual(
            seen,
            {
                "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "PodDisruptionBudget",
                "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
            },
        )

    def test_the_schemas_can_refuse(self):
        """Or the test above would say nothing."""
        chart = rendered(CHART / "ci/production-values.yaml")
        for kind in ("Deployment", "ServiceMonitor"):
            wrong = yaml.safe_load(yaml.safe_dump(chart.gateway(kind)))
            wrong["spec"]["replica"] = 3
            with self.assertRaises(jsonschema.ValidationError):
                if kind == "ServiceMonitor":
                    jsonschema.validate(wrong, service_monitor_schema())
                else:
                    kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)

    def test_a_kubernetes_that_cannot_wait_before_a_pod_ends_is_refused(self):
        file = CHART / "ci/least-values.yaml"
        self.assertEqual(template(file, kubernetes="1.30.0").returncode, 0)
        self.assertIn("kubeVersion", template(file, kubernetes="1.29.9").stderr)

    def test_what_cannot_work_is_refused_with_what_to_do(self):
        files = sorted((CHART / "ci/refused").glob("*.yaml"))
        self.assertGreater(len(files), 20)
        for file in files:
            with self.subTest(values=file.name):
                expected = file.read_text().splitlines()[0].removeprefix("# ")
                done = template(file)
                self.assertNotEqual(done.returncode, 0, "it was rendered")
                # Which is wrong is said with dots or slashes, as the library that looks at schemas likes it.
                self.assertIn(expected, done.stderr)

    def test_a_pod_is_killed_only_after_its_drain(self):
        for chart in everything():
            with self.subTest(values=chart.name):
                pod, container = chart.pod()["spec"], chart.container()
                wait = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                drain = int(next(one["value"] for one in container["env"] if one["name"] == "CHORUS_DRAIN_SECONDS"))
                self.assertEqual(wait, chart.values["preStopSeconds"])
                self.assertEqual(drain, chart.values["drainSeconds"])
                self.assertGreaterEqual(pod["terminationGracePeriodSeconds"], wait + drain + 5)

    def test_the_gateway_takes_its_configuration(self):
        """The real program reads the file and the environment that the chart gives it."""
        for chart in everything():
            with self.subTest(values=chart.name):
                with tempfile.TemporaryDirectory() as directory:
                    for name, text in chart.gateway("ConfigMap")["data"].items():
                        Path(directory, name).write_text(text)
                    read = configuration(chart.environment(SECRETS, directory))
                self.assertEqual(read["drain_seconds"], chart.values["drainSeconds"])
                self.assertEqual(read["trusted_proxies"], chart.values["trustedProxies"])
                self.assertEqual(read["listen"], "0.0.0.0:8080")
                self.assertEqual(read["metrics_listen"], f"0.0.0.0:{chart.values['metrics']['port']}")
                self.assertIn("redis_url", read)
                if "namespaces" in chart.values["config"]:
                    self.assertEqual(read["namespaces"]["news"]["history_length"], 100)
                    self.assertEqual(read["history"]["ack"], "replicated")

    def test_gateways_speak_tls_with_the_whole_secret(self):
        secured = 0
        for chart in everything():
            name = chart.values["tls"]["secretName"]
            protocol = "https" if name else "http"
            with self.subTest(values=chart.name):
                services = [port for one in chart.all("Service") for port in one["spec"]["ports"]]
                self.assertEqual([port["appProtocol"] for port in services if port["name"] == "http"], [protocol])
                env = {one["name"]: one.get("value") for one in chart.container()["env"]}
                self.assertEqual("CHORUS_TLS_CERTIFICATE" in env, bool(name))
                if not name:
                    continue
                secured += 1
                (volume,) = [one for one in chart.pod()["spec"]["volumes"] if one["name"] == "tls"]
                self.assertEqual(volume["secret"]["secretName"], name)
                self.assertNotIn("items", volume["secret"])
                (mount,) = [one for one in chart.container()["volumeMounts"] if one["name"] == "tls"]
                self.assertNotIn("subPath", mount)
                paths = {env["CHORUS_TLS_CERTIFICATE"], env["CHORUS_TLS_KEY"]}
                self.assertEqual(paths, {mount["mountPath"] + file for file in ("/tls.crt", "/tls.key")})
                for ingress in chart.all("Ingress"):
                    annotations = ingress["metadata"]["annotations"]
                    self.assertEqual(annotations["nginx.ingress.kubernetes.io/backend-protocol"], "HTTPS")
        self.assertGreater(secured, 0)

    def test_another_file_is_another_pod(self):
        def checksum(*arguments):
            done = template(CHART / "ci/least-values.yaml", *arguments)
            objects = [found for found in yaml.safe_load_all(done.stdout) if found]
            (one,) = [found for found in objects if found["kind"] == "Deployment"]
            return one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

        self.assertEqual(checksum(), checksum())
        self.assertNotEqual(checksum(), checksum("--set", "config=[limits]"))

    def test_whoever_selects_finds_the_gateways_and_nobody_else(self):
        for chart in everything():
            with self.subTest(values=chart.name):
                labels = chart.pod()["metadata"]["labels"]
                selectors = [chart.gateway("Deployment")["spec"]["selector"]["matchLabels"]]
                component = "app.kubernetes.io/component"
                for service in chart.all("Service"):
                    if service["metadata"]["labels"][component] == "gateway":
                        selectors.append(service["spec"]["selector"])
                for budget in chart.all("PodDisruptionBudget"):
                    selectors.append(budget["spec"]["selector"]["matchLabels"])
                for spread in chart.pod()["spec"].get("topologySpreadConstraints") or []:
                    selectors.append(spread["labelSelector"]["matchLabels"])
                for policy in chart.all("NetworkPolicy"):
                    if policy["metadata"]["labels"][component] == "gateway":
                        selectors.append(policy["spec"]["podSelector"]["matchLabels"])
                for selector in selectors:
                    self.assertLessEqual(selector.items(), labels.items())
                for redis in chart.all("StatefulSet"):
                    others = redis["spec"]["template"]["metadata"]["labels"]
                    self.assertFalse(selectors[0].items() <= others.items(), "Redis would be taken for a gateway")

    def test_the_autoscaler_counts_connections_and_takes_pods_slowly(self):
        scaled = 0
        for chart in everything():
            with self.subTest(values=chart.name):
                deployment = chart.gateway("Deployment")
                if not chart.all("HorizontalPodAutoscaler"):
                    self.assertEqual(deployment["spec"]["replicas"], chart.values["replicaCount"])
                    continue
                scaled += 1
                self.assertNotIn("replicas", deployment["spec"], "an upgrade would undo what the autoscaler did")
                spec = chart.gateway("HorizontalPodAutoscaler")["spec"]
                self.assertEqual(spec["scaleTargetRef"]["name"], deployment["metadata"]["name"])
                pods = spec["metrics"][0]["pods"]
                self.assertEqual(pods["metric"]["name"], "chorus_connections")
                self.assertEqual(pods["target"]["averageValue"], str(chart.values["autoscaling"]["connectionsPerPod"]))
                (down,) = spec["behavior"]["scaleDown"]["policies"]
                self.assertEqual((down["type"], down["value"]), ("Pods", 1))
                self.assertGreaterEqual(
                    down["periodSeconds"], chart.pod()["spec"]["terminationGracePeriodSeconds"]
                )
        self.assertEqual(scaled, 2)

    def test_pods_may_do_nothing(self):
        for chart in everything():
            with self.subTest(values=chart.name):
                for kind in ("Deployment", "StatefulSet"):
                    for found in chart.all(kind):
                        pod = found["spec"]["template"]["spec"]
                        self.assertIs(pod["automountServiceAccountToken"], False)
                        self.assertIs(pod["enableServiceLinks"], False)
                        self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
                        self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                        for container in pod["containers"]:
                            self.assertEqual(
                                container["securityContext"],
                                {
                                    "allowPrivilegeEscalation": False,
                                    "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]},
                                },
                            )
                self.assertEqual(chart.pod()["spec"]["securityContext"]["runAsUser"], 10001)

    def test_the_network_is_shut_but_for_what_is_needed(self):
        production = rendered(CHART / "ci/production-values.yaml").gateway("NetworkPolicy")["spec"]
        self.assertEqual(production["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual([rule["ports"][0]["port"] for rule in production["ingress"]], ["http", "metrics"])
        for rule in production["ingress"]:
            self.assertTrue(rule["from"])
        ports = [[port["port"] for port in rule["ports"]] for rule in production["egress"]]
        self.assertEqual(ports, [[53, 53], [6379, 6380], [8443], [4318]])
        # The built-in Redis has no password: its policy is there even when there is to be none.
        (redis,) = rendered(CHART / "ci/try-values.yaml").all("NetworkPolicy")
        self.assertEqual(redis["metadata"]["name"], "talk-chorus-redis")
        self.assertEqual(redis["spec"]["egress"], [])

    def test_affinity_is_what_the_controller_calls_it(self):
        def annotations(name, kind):
            chart = rendered(CHART / f"ci/{name}-values.yaml")
            found = [one for one in chart.all(kind) if not one["metadata"]["name"].endswith(("-metrics", "-redis"))]
            return found[0]["metadata"].get("annotations", {})

        self.assertEqual(annotations("production", "Ingress")["nginx.ingress.kubernetes.io/affinity"], "cookie")
        self.assertEqual(
            annotations("balancer", "Ingress")["nginx.ingress.kubernetes.io/upstream-hash-by"], "$binary_remote_addr"
        )
        sticky = annotations("traefik", "Service")
        self.assertEqual(sticky["traefik.ingress.kubernetes.io/service.sticky.cookie"], "true")

    def test_the_built_in_redis_starts_with_the_settings_of_the_project(self):
        settings = (PROJECT / "deploy/redis/redis.conf").read_text()
        redis = rendered(CHART / "ci/balancer-values.yaml")
        (config,) = [one for one in redis.all("ConfigMap") if one["metadata"]["name"].endswith("-redis")]
        self.assertEqual(config["data"]["redis.conf"].strip(), settings.strip())
        (container,) = redis.all("StatefulSet")[0]["spec"]["template"]["spec"]["containers"]
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "redis.conf")
            file.write_text(config["data"]["redis.conf"])
            places = {"/etc/redis/redis.conf": str(file), "/data": directory}
            command = [places.get(word, word) for word in container["command"]]
            # Without a port of its own: it reads what it was given, says it, and ends.
            command += ["--port", "0", "--unixsocket", f"{directory}/socket", "--daemonize", "yes"]
            self.assertEqual(run(*command).returncode, 0)
            client = ("redis-cli", "-s", f"{directory}/socket")
            try:
                said = run("sh", "-c", f"""
                    for try in $(seq 100); do {' '.join(client)} ping 2>/dev/null | grep -qx PONG && break; sleep 0.1; done
                    {' '.join(client)} config get maxmemory""").stdout
                self.assertEqual(said.split(), ["maxmemory", str(2**30)])
            finally:
                run(*client, "shutdown", "nosave")

    def test_the_package_holds_the_file_and_not_a_link(self):
        with tempfile.TemporaryDirectory() as directory:
            done = helm("package", CHART, "--destination", directory)
            self.assertEqual(done.returncode, 0, done.stderr)
            (package,) = Path(directory).glob("*.tgz")
            with tarfile.open(package) as tar:
                names = tar.getnames()
                packed = tar.extractfile("chorus/files/redis.conf").read()
        self.assertEqual(packed, (PROJECT / "deploy/redis/redis.conf").read_bytes())
        self.assertFalse([name for name in names if "/ci/" in name], "the values of the tests were packed")

    def test_every_value_is_documented(self):
        table = (CHART / "README.md").read_text()
        given = yaml.safe_load((CHART / "values.yaml").read_text())
        whole = {"resources", "probes", "redis.builtin.resources", "networkPolicy.metrics"}

        def keys(tree, prefix=""):
            for key, value in tree.items():
                name = prefix + key
                if isinstance(value, dict) and value and name not in whole:
                    yield from keys(value, f"{name}.")
                else:
                    yield name

        names = set(keys(given))
        documented = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
        self.assertEqual(names, documented)


if __name__ == "__main__":
    unittest.main()
