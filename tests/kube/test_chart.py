"""The chart: what it renders is taken by a real API server, and says what the
plain manifests say."""

import json
import pathlib
import subprocess

import pytest

from conftest import PATIENCE_SECONDS, kubectl

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "palisade"
PLAIN = ROOT / "deploy" / "kubernetes" / "palisade.yaml"

# What a value changes, each rendered and offered to the server.
CHOICES = {
    "defaults": [],
    "tls": ["server.tls.secretName=cert", "runner.gatewayCaSecretName=ca"],
    "elsewhere": ["server.enabled=false", "runner.gateway=https://sandboxes.example.com",
                  "networkPolicy.gateway.cidr=192.0.2.0/24", "runner.kubeconfigSecretName=kube"],
    "server alone": ["runner.enabled=false", "server.storage.ephemeral=true", "server.service.type=LoadBalancer"],
    "open and kept": ["networkPolicy.enabled=false", "podDisruptionBudget.enabled=false", "runner.namespaceIdleSeconds=0",
                      "runner.clusterRanges={192.0.2.0/24,198.51.100.0/24}", "imagePullSecrets[0].name=pull"],
    "direct": ["runner.directExec.enabled=true", "runner.directExec.port=9999"],
    "direct elsewhere": ["runner.directExec.enabled=true", "runner.directExec.from={192.0.2.0/24}",
                         "runner.kubeconfigSecretName=kube"],
    "scraped": ["networkPolicy.scrapers[0].namespaceSelector.matchLabels.team=monitoring",
                "networkPolicy.clients[0].namespaceSelector.matchLabels.team=agents"],
}


def render(*values, kube="1.20.2", check=True):
    sets = [part for value in values for part in ("--set", value)]
    done = subprocess.run(
        ["helm", "template", "palisade", str(CHART), "--namespace", "palisade", "--kube-version", kube, *sets],
        text=True, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def parsed(manifests):
    """Manifests as objects; the server looks at every one of them."""
    stored = kubectl("apply", "--dry-run=server", "-n", "palisade", "-o", "json", "-f", "-", stdin=manifests)
    return {(one["kind"], one["metadata"]["name"]): one for one in json.loads(stored)["items"]}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_server_takes_what_the_chart_renders(choice):
    objects = parsed(render(*CHOICES[choice]).stdout)
    assert objects
    for (kind, _), one in objects.items():
        if kind not in ("Deployment", "StatefulSet"):
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True and security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_the_server_never_gets_a_token_of_the_cluster():
    objects = parsed(render().stdout)
    server = objects["StatefulSet", "palisade-server"]["spec"]["template"]["spec"]
    assert server["automountServiceAccountToken"] is False
    assert objects["StatefulSet", "palisade-server"]["spec"]["replicas"] == 1
    assert objects["PodDisruptionBudget", "palisade-server"]["spec"]["maxUnavailable"] == 1
    (container,) = server["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_the_rights_are_those_that_the_backend_is_tested_with():
    plain = parsed((ROOT / "deploy" / "kubernetes" / "rbac.yaml").read_text())
    chart = parsed(render().stdout)
    assert chart["ClusterRole", "palisade-palisade-runner"]["rules"] == plain["ClusterRole", "palisade-runner"]["rules"]
    assert chart["Role", "palisade-runner"]["rules"] == plain["Role", "palisade-runner"]["rules"]
    kept = parsed(render("runner.namespaceIdleSeconds=0").stdout)["ClusterRole", "palisade-palisade-runner"]["rules"]
    (rule,) = [rule for rule in kept if rule["resources"] == ["namespaces"]]
    assert "delete" not in rule["verbs"]


def variables(*values):
    (container,) = parsed(render(*values).stdout)["Deployment", "palisade-runner"]["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def test_nothing_is_said_of_direct_exec_unless_it_is_wanted():
    assert not [name for name in variables() if "DIRECT" in name]
    policy = parsed(render().stdout)["NetworkPolicy", "palisade-runner"]
    assert "17717" not in json.dumps(policy)


def test_a_runner_that_calls_agents_says_what_it_is_and_may_call_them():
    objects = parsed(render(*CHOICES["direct"]).stdout)
    said = variables(*CHOICES["direct"])
    assert (said["PALISADE_DIRECT_EXEC"], said["PALISADE_DIRECT_EXEC_PORT"]) == ("true", "9999")
    labels = dict(pair.split("=") for pair in said["PALISADE_DIRECT_EXEC_LABELS"].split(","))
    pod = objects["Deployment", "palisade-runner"]["spec"]["template"]["metadata"]["labels"]
    server = objects["StatefulSet", "palisade-server"]["spec"]["template"]["metadata"]["labels"]
    assert labels.items() <= pod.items() and not labels.items() <= server.items()
    (rule,) = [rule for rule in objects["NetworkPolicy", "palisade-runner"]["spec"]["egress"]
               if rule["ports"] == [{"protocol": "TCP", "port": 9999}]]
    (peer,) = rule["to"]
    assert peer["namespaceSelector"] == {}
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/managed-by"] == "palisade-runner"
    elsewhere = variables(*CHOICES["direct elsewhere"])
    assert elsewhere["PALISADE_DIRECT_EXEC_FROM"] == "192.0.2.0/24"


def test_newer_clusters_get_the_newer_budget():
    assert "apiVersion: policy/v1\n" in render(kube="1.31.0").stdout
    assert "apiVersion: policy/v1beta1\n" in render(kube="1.20.2").stdout


def test_a_service_monitor_is_made_where_it_is_wanted():
    assert "ServiceMonitor" not in render().stdout
    assert "ServiceMonitor" in render("serviceMonitor.enabled=true").stdout


@pytest.mark.parametrize("value", ["runner.networkEnforcement=maybe", "runner.joinTokenSecretName=", "nope=1",
                                   "server.service.port=0"])
def test_a_value_that_is_none_is_refused(value):
    assert render(value, check=False).returncode != 0


def test_the_plain_manifests_are_what_the_chart_renders():
    rendered = render(kube="1.31.0").stdout
    assert PLAIN.read_text().split("---\n", 1)[1] == rendered.split("---\n", 1)[1], \
        "render them again: scripts/kube/render.sh"
