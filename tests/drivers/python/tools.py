"""What ORMs and BI tools ask when they start: SQLAlchemy's reflection, Django's introspection and a first migration."""

import os
import sys
import traceback


def environment(name):
    return os.environ[name]


def sqlalchemy_reflection():
    import sqlalchemy
    from sqlalchemy import (
        JSON, Boolean, CheckConstraint, Column, DateTime, ForeignKey, Identity, Index, Integer, MetaData, Numeric, String,
        Table, Text, UniqueConstraint, create_engine, func, inspect, select,
    )
    from sqlalchemy.dialects import postgresql

    engine = create_engine("postgresql+psycopg://{}@{}:{}/{}".format(
        environment("PGUSER"), environment("PGHOST"), environment("PGPORT"), environment("PGDATABASE")))
    metadata = MetaData()
    parent = Table(
        "sa_parent", metadata,
        Column("id", Integer, Identity(always=True), primary_key=True),
        Column("name", String(40), nullable=False, comment="what it is called"),
        Column("price", Numeric(10, 2), server_default="0"),
        Column("doc", postgresql.JSONB), Column("plain", JSON), Column("tags", postgresql.ARRAY(Text)),
        Column("at", DateTime(timezone=True), server_default=func.now()), Column("ok", Boolean),
        UniqueConstraint("name", name="sa_parent_name"), CheckConstraint("price >= 0", name="sa_parent_price"),
        comment="parents",
    )
    child = Table(
        "sa_child", metadata,
        Column("id", Integer, primary_key=True),
        Column("parent", ForeignKey("sa_parent.id", ondelete="CASCADE", name="sa_child_parent")),
        Index("sa_child_parent_index", "parent"),
    )
    metadata.create_all(engine)
    look = inspect(engine)
    assert {"sa_parent", "sa_child"} <= set(look.get_table_names())
    columns = {column["name"]: column for column in look.get_columns("sa_parent")}
    assert columns["id"]["identity"]["always"] is True, columns["id"]
    assert columns["name"]["comment"] == "what it is called" and columns["name"]["nullable"] is False
    assert str(columns["price"]["type"]) == "NUMERIC(10, 2)" and columns["price"]["default"] is not None
    assert str(columns["doc"]["type"]) == "JSONB" and isinstance(columns["tags"]["type"], postgresql.ARRAY)
    assert columns["at"]["type"].timezone and columns["at"]["default"] == "now()"
    assert look.get_pk_constraint("sa_parent")["constrained_columns"] == ["id"]
    assert [one["name"] for one in look.get_unique_constraints("sa_parent")] == ["sa_parent_name"]
    assert [one["name"] for one in look.get_check_constraints("sa_parent")] == ["sa_parent_price"]
    (key,) = look.get_foreign_keys("sa_child")
    assert (key["name"], key["referred_table"], key["options"]) == ("sa_child_parent", "sa_parent", {"ondelete": "CASCADE"}), key
    assert [one["column_names"] for one in look.get_indexes("sa_child")] == [["parent"]]
    assert look.get_table_comment("sa_parent") == {"text": "parents"}
    look.get_view_names(), look.get_sequence_names(), look.get_schema_names(), look.get_enums()
    again = MetaData()
    again.reflect(engine)
    assert set(again.tables) >= {"sa_parent", "sa_child"}
    with engine.begin() as connection:
        (number,) = connection.execute(parent.insert().values(name="p", doc={"a": [1]}).returning(parent.c.id)).one()
        connection.execute(child.insert(), [{"id": i, "parent": number} for i in range(1, 200)])
        joined = select(parent.c.name, func.count()).join(child).group_by(parent.c.name)
        assert connection.execute(joined).all() == [("p", 199)]
        found = connection.execute(select(parent).where(parent.c.doc["a"][0].as_integer() == 1)).one()
        assert found.doc == {"a": [1]} and found.at is not None
        upsert = postgresql.insert(parent).values(name="p", price=5)
        connection.execute(upsert.on_conflict_do_update(index_elements=["name"], set_={"price": upsert.excluded.price}))
    metadata.drop_all(engine)
    engine.dispose()
    return f"SQLAlchemy {sqlalchemy.__version__}"


def django_introspection():
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": environment("PGDATABASE"), "USER": environment("PGUSER"),
            "HOST": environment("PGHOST"), "PORT": environment("PGPORT"),
        }},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True,
    )
    django.setup()
    from django.contrib.auth.models import Group, User
    from django.core.management import call_command
    from django.db import IntegrityError, connection, transaction

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        look = connection.introspection
        tables = {table.name: table.type for table in look.get_table_list(cursor)}
        assert tables.get("auth_user") == "t", tables
        names = [column.name for column in look.get_table_description(cursor, "auth_user")]
        assert names[:2] == ["id", "password"], names
        assert look.get_primary_key_column(cursor, "auth_user") == "id"
        relations = look.get_relations(cursor, "auth_permission")
        assert relations == {"content_type_id": ("id", "django_content_type")}, relations
        constraints = look.get_constraints(cursor, "auth_user")
        assert any(one["unique"] and one["columns"] == ["username"] for one in constraints.values()), constraints
        assert look.get_sequences(cursor, "auth_user")
    user = User.objects.create(username="ada")
    group = Group.objects.create(name="makers")
    user.groups.add(group)
    assert User.objects.filter(groups__name__startswith="mak").count() == 1
    with transaction.atomic():
        locked = User.objects.select_for_update().get(username="ada")
        locked.first_name = "Ada"
        locked.save()
    assert User.objects.filter(first_name__iexact="ada").exists()
    assert User.objects.values("is_active").order_by().distinct().count() == 1
    # Django's foreign keys are deferred: a row may name another that is not there yet, until the transaction ends.
    membership = User.groups.through
    with transaction.atomic():
        membership.objects.create(user_id=user.id, group_id=group.id + 1)
        Group.objects.create(id=group.id + 1, name="late")
    try:
        with transaction.atomic():
            membership.objects.create(user_id=user.id, group_id=group.id + 2)
    except IntegrityError:
        pass
    else:
        raise AssertionError("a group that is not there")
    with transaction.atomic():
        membership.objects.create(user_id=user.id + 1, group_id=group.id)
        membership.objects.filter(user_id=user.id + 1).delete()
    user.delete()
    connection.close()
    return f"Django {django.__version__}"


if __name__ == "__main__":
    failed = False
    for tool in (sqlalchemy_reflection, django_introspection):
        try:
            print(tool(), "ok")
        except Exception:
            failed = True
            traceback.print_exc()
    sys.exit(failed)
