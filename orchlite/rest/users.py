"""The endpoints for users: who may log in, and whose a workspace is. Every workspace belongs to all users."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response

from orchlite.core.errors import NotFound
from orchlite.rest import request_models, response_models, serializers
from orchlite.rest.accounts import OWNER, Account, Accounts
from orchlite.rest.dependencies import JsonRoute, Queries, Users
from orchlite.rest.queries import StoreQueries

router = APIRouter(tags=["users"], route_class=JsonRoute)

_IDENTITY_PATH = "/auth/admin/realms/master/users"


@router.get(_IDENTITY_PATH + "/{user_id}", response_model=response_models.User)
def user_by_id(user_id: str, users: Users, queries: Queries) -> Response:
    """Return the user with this id."""
    return serializers.json_response(serializers.user(_found(users, user_id), _created_at(queries)))


@router.get(_IDENTITY_PATH, response_model=list[response_models.User])
def users_by_email(email: str, users: Users, queries: Queries) -> Response:
    """List the users with this e-mail address."""
    created_at = _created_at(queries)
    return serializers.json_list_response(serializers.user(account, created_at) for account in users.with_email(email))


@router.post("/v1/api/users/query", response_model=response_models.Users)
def query(users: Users, queries: Queries, body: request_models.QueryUsers | None = None) -> Response:
    """Return users by their ids; by default all. An id without a user has `null`."""
    ids = [account.user_id for account in users.all()] if body is None or body.user_ids is None else body.user_ids
    created_at, found = _created_at(queries), {user_id: users.find(user_id) for user_id in ids}
    shown = {user_id: account and serializers.user(account, created_at) for user_id, account in found.items()}
    return serializers.json_response(response_models.Users(users=shown))


@router.post("/v1/api/workspaces/list_users", response_model=response_models.WorkspaceUsers)
def of_workspace(body: request_models.UsersOfWorkspace, queries: Queries) -> Response:
    """List the owner of the store, to whom every workspace belongs."""
    queries.workspace(body.workspace_id)
    owner = response_models.WorkspaceUser(user_id=OWNER.user_id, user_type="OWNER")
    return serializers.json_response(response_models.WorkspaceUsers(users=[owner]))


@router.post("/v1/api/workspaces/add_user", response_model=response_models.Nothing)
def add(body: request_models.AddUser, users: Users, queries: Queries) -> Response:
    """Do nothing but check that both exist: users see every workspace."""
    queries.workspace(body.workspace_id)
    if body.user_id is not None or not users.with_email(body.email or ""):
        _found(users, body.user_id or body.email or "")
    return serializers.json_response(response_models.Nothing())


def _found(users: Accounts, user_id: str) -> Account:
    account = users.find(user_id)
    if account is None:
        raise NotFound(f"There is no user {user_id!r:.80}.", hint="Tokens hold the id, as `sub`.", user_id=user_id)
    return account


def _created_at(queries: StoreQueries) -> datetime:
    """Return when the store was created, as the time of every account: they have none of their own."""
    return queries.client.get_workspace("default", create_if_not_exist=True).created_at()
