"""The sidecar as the library gives it to an app's pod."""

from typing import Any

import pytest

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.environment import environment
from tests.contract.charts.rendering import Charts, Manifest, Rendering, containers
from tests.contract.charts.scenarios import APPS, Scenario

_OLD = {"kubeVersion": "1.28.9"}
_SOCKET = {"unixSocket": {"enabled": True}}


def _pod(rendering: Rendering) -> Manifest:
    spec: Manifest = rendering.one("Deployment")["spec"]["template"]["spec"]
    return spec


def _named(rendering: Rendering, name: str) -> Manifest:
    [found] = [each for each in containers(rendering.one("Deployment")["spec"]["template"]) if each["name"] == name]
    return found


def _sidecar(rendering: Rendering) -> Manifest:
    return _named(rendering, "billing-sidecar")


def _variables(rendering: Rendering) -> dict[str, Any]:
    return {each["name"]: each for each in _sidecar(rendering)["env"]}


def test_it_is_there_before_the_app_and_after_it(app: Render) -> None:
    """Native: an init container that stays, the first of them."""
    pod = _pod(app())
    assert pod["initContainers"][0]["name"] == "billing-sidecar"
    assert pod["initContainers"][0]["restartPolicy"] == "Always"
    assert [each["name"] for each in pod["containers"]] == ["app"]
    assert "lifecycle" not in pod["initContainers"][0]


def test_an_older_cluster_has_it_beside_the_app(app: Render) -> None:
    """A container without a policy of its own, which goes on answering while the app ends."""
    pod = _pod(app(**_OLD))
    assert "initContainers" not in pod
    sidecar, of_app = pod["containers"]
    assert (sidecar["name"], of_app["name"]) == ("billing-sidecar", "app")
    assert "restartPolicy" not in sidecar
    assert sidecar["lifecycle"]["preStop"]["exec"]["command"][-1] == "import time; time.sleep(15)"
    assert "lifecycle" not in _sidecar(app(**_OLD, preStopSeconds=0))


@pytest.mark.parametrize(
    ("mode", "version", "native"),
    [
        ("auto", "1.29.0", True),
        ("auto", "v1.31.4-gke.1183000", True),
        ("auto", "v1.28.15+k3s1", False),
        ("native", "1.28.0", True),
        ("container", "1.34.0", False),
    ],
)
def test_the_place_follows_the_cluster_or_the_value(app: Render, mode: str, version: str, native: bool) -> None:
    """Versions as clusters say them, with what providers append."""
    assert ("initContainers" in _pod(app(mode=mode, kubeVersion=version))) == native


def test_probes_ask_the_management_port(app: Render) -> None:
    """An app starts though everything else is down: `/live` is asked first, `/ready` holds traffic back."""
    sidecar = _sidecar(app())
    [port] = sidecar["ports"]
    assert port == {"name": "billing-mgmt", "containerPort": 7071, "protocol": "TCP"}
    paths = {name: sidecar[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/live", "port": "billing-mgmt"},
        "liveness": {"path": "/live", "port": "billing-mgmt"},
        "readiness": {"path": "/ready", "port": "billing-mgmt"},
    }


@pytest.mark.parametrize("scenario", APPS, ids=str)
def test_questions_stay_in_the_pod(charts: Charts, scenario: Scenario) -> None:
    """No key is asked for: it listens on loopback or a socket, and no port of it is declared."""
    rendering = charts.render(scenario.chart, scenario.values)
    listen = environment(rendering, _sidecar(rendering))["SIDECAR_LISTEN"]
    assert listen.startswith(("127.0.0.1:", "unix:/"))
    assert [each["name"] for each in _sidecar(rendering)["ports"]] == ["billing-mgmt"]


@pytest.mark.parametrize("values", [{}, {"port": 7170}, _SOCKET], ids=["port", "another port", "socket"])
def test_the_app_is_told_where_to_ask(app: Render, values: dict[str, Any]) -> None:
    """In the form that clients take."""
    rendering = app(**values)
    listen = environment(rendering, _sidecar(rendering))["SIDECAR_LISTEN"]
    [told] = [each["value"] for each in _named(rendering, "app")["env"] if each["name"] == "SIDECAR_URL"]
    assert told == (listen if listen.startswith("unix:") else f"http://{listen}")


def test_a_socket_is_shared_with_the_app(app: Render) -> None:
    """In memory, mounted at the same place in both, and in nobody without one."""
    rendering = app(**_SOCKET)
    [volume] = [each for each in _pod(rendering)["volumes"] if each["name"] == "billing-socket"]
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Mi"}
    mount = {"name": "billing-socket", "mountPath": "/run/billing-sidecar"}
    assert mount in _named(rendering, "app")["volumeMounts"]
    assert mount in _sidecar(rendering)["volumeMounts"]
    assert "volumeMounts" not in _named(app(), "app")


def test_copies_are_kept(app: Render) -> None:
    """In a volume of the pod, or another one, where the sidecar is told to keep them; or nowhere."""
    rendering = app()
    [volume] = _pod(rendering)["volumes"]
    assert volume == {"name": "billing-copies", "emptyDir": {"sizeLimit": "1Gi"}}
    [mount] = _sidecar(rendering)["volumeMounts"]
    assert _variables(rendering)["SIDECAR_SNAPSHOT_DIR"]["value"] == mount["mountPath"] == "/var/lib/billing-sidecar"
    claimed = app(copies={"volume": {"persistentVolumeClaim": {"claimName": "copies"}}})
    assert _pod(claimed)["volumes"] == [{"name": "billing-copies", "persistentVolumeClaim": {"claimName": "copies"}}]
    without = app(copies={"enabled": False})
    assert "volumes" not in _pod(without)
    assert "SIDECAR_SNAPSHOT_DIR" not in _variables(without)


def test_a_redis_url_is_put_together_from_a_secret(app: Render) -> None:
    """User and password by reference, before the URL that they go into; neither stands in the manifest."""
    rendering = app(
        redis={
            "existingSecret": "redis", "urlKey": "", "scheme": "rediss", "address": "redis:6379/1",
            "usernameKey": "user", "passwordKey": "pass", "options": "ssl_check_hostname=false",
        }
    )  # fmt: skip
    variables = _variables(rendering)
    assert variables["REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "redis", "key": "pass"}
    names = list(variables)
    assert names.index("REDIS_USERNAME") < names.index("REDIS_PASSWORD") < names.index("REDIS_URL")
    told = environment(rendering, _sidecar(rendering))["REDIS_URL"]
    assert told == "rediss://sidecar-notes:test-password@redis:6379/1?ssl_check_hostname=false"


def test_a_redis_without_user_has_a_password(app: Render) -> None:
    """The default user's; or none at all."""
    redis = {"existingSecret": "redis", "urlKey": "", "address": "redis:6379", "passwordKey": "pass"}
    with_password = app(redis=redis)
    assert environment(with_password, _sidecar(with_password))["REDIS_URL"] == "redis://:test-password@redis:6379"
    without = app(redis={**redis, "passwordKey": "", "existingSecret": ""})
    assert _variables(without)["REDIS_URL"]["value"] == "redis://redis:6379"


def test_keys_of_several_projects_are_in_their_order(app: Render) -> None:
    """Each from its own Secret, put together in the sidecar's environment."""
    projects = [{"id": each, "apiKey": {"existingSecret": each, "key": "key"}} for each in ("shop", "notes", "blog")]
    rendering = app(projects=projects)
    variables = _variables(rendering)
    assert variables["SIDECAR_PROJECT"]["value"] == "shop,notes,blog"
    assert variables["SIDECAR_API_KEY"]["value"] == "$(PROJECT_API_KEY_0),$(PROJECT_API_KEY_1),$(PROJECT_API_KEY_2)"
    secrets = [variables[f"PROJECT_API_KEY_{i}"]["valueFrom"]["secretKeyRef"]["name"] for i in range(3)]
    assert secrets == ["shop", "notes", "blog"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"repository": ""}}, "image.repository is not set"),
        ({"projects": []}, "projects is empty"),
        ({"projects": [{"id": "notes"}]}, "projects: notes has no apiKey"),
        ({"projects": [{"id": "notes"}, {"id": "notes"}], "writerUrl": ""}, "projects names notes twice"),
        ({"redis": {"address": "redis:6379"}}, "redis has both urlKey and address"),
        ({"redis": {"existingSecret": ""}}, "redis.existingSecret is not set"),
        ({"redis": {"urlKey": "", "passwordKey": "p"}}, "redis.address is not set"),
        ({"redis": {"urlKey": "", "address": "r", "usernameKey": "u"}}, "redis.passwordKey is not set"),
        ({"redis": {"urlKey": "", "address": "user:test-password@redis"}}, "must not hold user and password"),
        ({"redis": {"urlKey": ""}, "writerUrl": ""}, "one is needed, better Redis and the writer"),
        ({"port": 7071}, "port and managementPort are the same"),
        ({"projects": [{"id": "a b"}]}, "/projects/0/id"),
        ({"redis": {"password": "test-password"}}, "'password' not allowed"),
        ({"copies": {"volume": {"emptyDir": {}, "csi": {}}}}, "/copies/volume"),
        ({"image": {"tag": "latest"}}, "/image/tag"),
        ({"settings": {"SIDECAR_ON_STALE": "block"}}, "/settings/SIDECAR_ON_STALE"),
    ],
)
def test_what_cannot_work_is_refused(sidecar_refused: Refuse, values: dict[str, Any], said: str) -> None:
    """With the value's name."""
    assert said in sidecar_refused(**values)


def test_several_faults_come_at_once(sidecar_refused: Refuse) -> None:
    """As the sidecar itself tells them."""
    said = sidecar_refused(image={"repository": ""}, projects=[], port=7071)
    assert said.count("\n  ") == 3


def test_prometheus_finds_the_sidecar(app: Render) -> None:
    """The monitor selects the app's pods and names a port that they have."""
    assert app().all("PodMonitor") == []
    rendering = app(podMonitor={"enabled": True, "labels": {"release": "prometheus"}})
    monitor = rendering.one("PodMonitor")
    template = rendering.one("Deployment")["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in _sidecar(rendering)["ports"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    own = app(podMonitor={"enabled": True, "matchLabels": {"app": "notes"}}).one("PodMonitor")
    assert own["spec"]["selector"] == {"matchLabels": {"app": "notes"}}


def test_certificates_can_be_read_without_a_group(app: Render) -> None:
    """The pod is the app's, and may set none."""
    rendering = app(redis={"tlsSecret": "ca"})
    [volume] = [each for each in _pod(rendering)["volumes"] if each["name"] == "billing-redis-tls"]
    assert volume["secret"] == {"secretName": "ca", "defaultMode": 0o444}
    [mount] = [each for each in _sidecar(rendering)["volumeMounts"] if each["name"] == "billing-redis-tls"]
    assert mount == {"name": "billing-redis-tls", "mountPath": "/etc/billing/tls/redis", "readOnly": True}


def test_the_image_is_of_the_librarys_release(app: Render, charts: Charts) -> None:
    """Not of the app's, whose chart it is rendered in."""
    release = charts.chart("billing-sidecar").metadata["appVersion"]
    assert _sidecar(app())["image"] == f"registry.example.com/billing-sidecar:{release}"
