"""The namespace of a user."""

from tests.spawners.kube.made import configured, namespace_of


def test_of_a_user() -> None:
    namespace = namespace_of(
        configured(
            enable_user_namespaces=True,
            user_namespace_template="people-{username}",
            user_namespace_labels={
                "pod-security.kubernetes.io/enforce": "restricted",
                "person": "{username}",
            },
            user_namespace_annotations={"mail": "{unescaped_username}@example.org"},
            common_labels={"team": "blue", "person": "nobody"},
        )
    )
    assert namespace == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "people-alice",
            "labels": {
                "app.kubernetes.io/name": "kworkspace",
                "app.kubernetes.io/managed-by": "kworkspace",
                "kworkspace.io/hub": "hub",
                "pod-security.kubernetes.io/enforce": "restricted",
                "person": "alice",
                "team": "blue",
            },
            "annotations": {"mail": "alice@example.org"},
        },
    }


def test_the_template_begins_with_the_hubs() -> None:
    namespace = namespace_of(configured(enable_user_namespaces=True))
    assert namespace["metadata"]["name"] == "user-alice"
