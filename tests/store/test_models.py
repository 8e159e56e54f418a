"""Models and their versions in the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from orchlite.core.errors import NotFound
from orchlite.core.model_records import ModelVersionRow
from orchlite.store.database import Transaction
from orchlite.store.store import Store

AddVersion = Callable[..., ModelVersionRow]


def test_a_version_is_read_as_it_was_written(store: Store, add_model_version: AddVersion) -> None:
    written = add_model_version("ccfraud", input_schema=b"\0schema", config={"tensor_fields": ["tensor"]})
    assert written.model_version_id == 1
    assert store.models.version(1) == store.models.find_version(written.version) == written
    assert store.models.versions(written.model_id) == [written]


def test_a_name_that_exists_gets_another_version(store: Store, add_model_version: AddVersion) -> None:
    first, second = add_model_version("ccfraud"), add_model_version("ccfraud")
    assert first.model_id == second.model_id
    assert store.models.versions(first.model_id) == [second, first]
    assert store.models.newest_version(first.model_id) == second
    assert [model.name for model in store.models.of_workspace(1)] == ["ccfraud"]


def test_one_name_in_two_workspaces_is_two_models(store: Store, add_model_version: AddVersion, now: datetime) -> None:
    other = store.workspaces.create("other", now)
    first, second = add_model_version("ccfraud"), add_model_version("ccfraud", workspace_id=other.workspace_id)
    assert first.model_id != second.model_id
    found = store.models.find(other.workspace_id, "ccfraud")
    assert found is not None
    assert found.model_id == second.model_id
    assert [model.model_id for model in store.models.all()] == [first.model_id, second.model_id]


def test_a_model_without_a_version_has_no_newest(store: Store, now: datetime) -> None:
    with store.transaction() as transaction:
        model = store.models.find_or_create(transaction, 1, "empty", now)
    assert store.models.newest_version(model.model_id) is None
    assert store.models.get(model.model_id) == model


def test_a_configuration_is_replaced(store: Store, add_model_version: AddVersion, now: datetime) -> None:
    row, later = add_model_version("ccfraud", config={"runtime": "onnx"}), now + timedelta(seconds=1)
    with store.transaction() as transaction:
        store.models.configure(transaction, row.model_version_id, {"tensor_fields": ["a"]}, later)
    assert store.models.version(row.model_version_id) == row._replace(config={"tensor_fields": ["a"]}, updated_at=later)


def test_deleting_a_model_deletes_its_versions_and_its_numbers_are_not_used_again(
    store: Store, add_model_version: AddVersion, now: datetime
) -> None:
    row = add_model_version("ccfraud")
    with store.transaction() as transaction:
        assert store.models.is_referenced(transaction, row.sha)
        store.models.delete(transaction, row.model_id, now)
        assert not store.models.is_referenced(transaction, row.sha)
    assert store.models.find_version(row.version) is None
    again = add_model_version("ccfraud")
    assert (again.model_id, again.model_version_id) == (row.model_id + 1, row.model_version_id + 1)


def test_what_happens_to_a_model_is_an_event_with_its_name(store: Store, add_model_version: AddVersion, now: datetime) -> None:
    row = add_model_version("ccfraud")
    with store.transaction() as transaction:
        store.models.configure(transaction, row.model_version_id, {}, now)
        store.models.delete(transaction, row.model_id, now)
    events = [(event.kind, event.object_id, event.became, event.reason) for event in store.events.after(0)]
    assert events == [
        ("model", "1", "created", "its name is 'ccfraud'"),
        ("model", "1", "uploaded", f"its name is 'ccfraud', its version {row.version}"),
        ("model", "1", "configured", f"its name is 'ccfraud', its version {row.version}"),
        ("model", "1", "deleted", "its name is 'ccfraud'"),
    ]


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda store, inside, now: store.models.get(7), id="get"),
        pytest.param(lambda store, inside, now: store.models.version(7), id="version"),
        pytest.param(lambda store, inside, now: store.models.configure(inside, 7, {}, now), id="configure"),
        pytest.param(lambda store, inside, now: store.models.delete(inside, 7, now), id="delete"),
    ],
)
def test_a_missing_one_is_not_found(store: Store, now: datetime, use: Callable[[Store, Transaction, datetime], object]) -> None:
    with store.transaction() as transaction, pytest.raises(NotFound, match=r" 7 in this store\. list_models\(\)"):
        use(store, transaction, now)
    assert store.models.find(1, "absent") is None
    assert store.models.find_version("absent") is None
