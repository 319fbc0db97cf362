import java.io.ByteArrayOutputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** JDBC against the server named by PGHOST, PGPORT, PGUSER and PGDATABASE. */
public final class Driver {
    private interface Step {
        void run(Connection connection) throws Exception;
    }

    private static String url(String more) {
        var environment = System.getenv();
        return "jdbc:postgresql://" + environment.get("PGHOST") + ":" + environment.get("PGPORT") + "/"
            + environment.get("PGDATABASE") + "?user=" + environment.get("PGUSER") + more;
    }

    private static void check(boolean holds, Object... facts) {
        if (!holds) {
            throw new AssertionError(Arrays.deepToString(facts));
        }
    }

    private static void same(Object expected, Object found, Object... facts) {
        check(Objects.deepEquals(expected, found), expected, found, facts);
    }

    private static PGobject object(String type, String value) throws SQLException {
        var object = new PGobject();
        object.setType(type);
        object.setValue(value);
        return object;
    }

    /** Column type, value, and the class it is read back as. */
    private static List<Object[]> values(Connection connection) throws SQLException {
        return List.of(
            new Object[] {"boolean", true, Boolean.class},
            new Object[] {"smallint", -32768, Integer.class},
            new Object[] {"integer", 2147483647, Integer.class},
            new Object[] {"bigint", Long.MIN_VALUE, Long.class},
            new Object[] {"real", 1.5f, Float.class},
            new Object[] {"double precision", 0.1, Double.class},
            new Object[] {"numeric", new BigDecimal("12345678901234567890.0123456789"), BigDecimal.class},
            new Object[] {"numeric(10,2)", new BigDecimal("-0.50"), BigDecimal.class},
            new Object[] {"text", "größe ✓ \\ ' \"", String.class},
            new Object[] {"varchar(10)", "ten", String.class},
            new Object[] {"char(5)", "abc  ", String.class},
            new Object[] {"bytea", new byte[] {0, 1, -1}, null},
            new Object[] {"date", LocalDate.of(2024, 2, 29), LocalDate.class},
            new Object[] {"time", LocalTime.of(23, 59, 59, 999999000), LocalTime.class},
            new Object[] {"timestamp", LocalDateTime.of(2024, 2, 29, 12, 30, 0, 123456000), LocalDateTime.class},
            new Object[] {
                "timestamptz", OffsetDateTime.of(2024, 2, 29, 12, 30, 0, 0, ZoneOffset.UTC), OffsetDateTime.class
            },
            new Object[] {"uuid", UUID.fromString("12345678-1234-5678-1234-567812345678"), UUID.class},
            new Object[] {"interval", object("interval", "1 years 2 mons 3 days 4 hours 5 mins 6.5 secs"), null},
            new Object[] {"json", object("json", "{\"a\": [1, 2.50, null]}"), null},
            new Object[] {"jsonb", object("jsonb", "{\"a\": [1, 2.50, null]}"), null});
    }

    /** Values go to the server and come back six times: from the fifth execution on the driver uses binary results. */
    private static void everyType(Connection connection) throws SQLException {
        int number = 0;
        for (Object[] value : values(connection)) {
            String table = "value_" + number++;
            try (Statement statement = connection.createStatement()) {
                statement.execute("CREATE TABLE " + table + " (v " + value[0] + ")");
            }
            try (var insert = connection.prepareStatement("INSERT INTO " + table + " VALUES (?)");
                 var select = connection.prepareStatement("SELECT v FROM " + table + " WHERE v IS NOT NULL LIMIT 1");
                 var nothing = connection.prepareStatement("SELECT v FROM " + table + " WHERE v IS NULL LIMIT 1")) {
                for (int round = 0; round < 7; round++) {
                    insert.setObject(1, value[1]);
                    same(1, insert.executeUpdate());
                    insert.setNull(1, Types.OTHER);
                    same(1, insert.executeUpdate());
                    try (ResultSet rows = select.executeQuery()) {
                        check(rows.next(), value[0]);
                        Object found = value[2] == null ? rows.getObject(1) : rows.getObject(1, (Class<?>) value[2]);
                        boolean equal = value[1] instanceof byte[] bytes
                            ? Arrays.equals(bytes, rows.getBytes(1))
                            : value[2] == null ? found.toString().equals(value[1].toString()) : found.equals(value[1]);
                        check(equal, value[0], value[1], found, "round", round);
                    }
                    try (ResultSet rows = nothing.executeQuery()) {
                        check(rows.next() && rows.getObject(1) == null && rows.wasNull(), value[0]);
                    }
                }
            }
        }
        Object[][] arrays = {
            {"int4", new Integer[] {1, null, 3}},
            {"int8", new Long[] {1L << 40}},
            {"float8", new Double[] {0.5, null}},
            {"bool", new Boolean[] {true, false}},
            {"text", new String[] {"a", "", "NULL", null, "quo\"te", "com,ma"}},
            {"numeric", new BigDecimal[] {new BigDecimal("1.50")}},
            {"uuid", new UUID[] {new UUID(1, 2)}},
        };
        for (Object[] pair : arrays) {
            try (var select = connection.prepareStatement("SELECT ?::" + pair[0] + "[]")) {
                Array array = connection.createArrayOf((String) pair[0], (Object[]) pair[1]);
                for (int round = 0; round < 7; round++) {
                    select.setArray(1, array);
                    try (ResultSet rows = select.executeQuery()) {
                        rows.next();
                        same(pair[1], rows.getArray(1).getArray(), pair[0]);
                    }
                }
            }
        }
    }

    private static void statements(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL UNIQUE, born date)");
            statement.execute("CREATE TABLE pet (id int PRIMARY KEY, owner int NOT NULL"
                + " CONSTRAINT pet_owner REFERENCES person (id) ON DELETE CASCADE, name varchar(20) DEFAULT 'rex',"
                + " weight numeric(6,2), CONSTRAINT light CHECK (weight < 100))");
            statement.execute("CREATE INDEX pet_name ON pet (name, owner)");
            statement.execute("CREATE VIEW heavy AS SELECT * FROM pet WHERE weight > 50");
            statement.execute("COMMENT ON TABLE pet IS 'animals'");
        }
        try (var insert = connection.prepareStatement("INSERT INTO person (name) VALUES (?)",
                Statement.RETURN_GENERATED_KEYS)) {
            insert.setString(1, "ada");
            same(1, insert.executeUpdate());
            try (ResultSet keys = insert.getGeneratedKeys()) {
                check(keys.next() && keys.getInt("id") == 1);
            }
            for (int i = 0; i < 500; i++) {
                insert.setString(1, "p" + i);
                insert.addBatch();
            }
            same(500, insert.executeBatch().length);
            insert.setString(1, "ada");
            insert.addBatch();
            try {
                insert.executeBatch();
                throw new AssertionError("a batch with a duplicate passed");
            } catch (BatchUpdateException error) {
                same("23505", error.getSQLState());
            }
        }
        try (var select = connection.prepareStatement("SELECT id, name AS who, born FROM person WHERE id = ?")) {
            same(1, select.getParameterMetaData().getParameterCount());
            same("int4", select.getParameterMetaData().getParameterTypeName(1));
            ResultSetMetaData columns = select.getMetaData();
            same("who", columns.getColumnLabel(2));
            same("text", columns.getColumnTypeName(2));
            same("name", ((org.postgresql.PGResultSetMetaData) columns).getBaseColumnName(2));
            same("person", columns.getTableName(2));
            check(columns.isAutoIncrement(1) && columns.isNullable(2) == ResultSetMetaData.columnNoNulls);
        }
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE,
                ResultSet.CONCUR_UPDATABLE);
             ResultSet rows = statement.executeQuery("SELECT id, name FROM person WHERE id = 1")) {
            rows.next();
            rows.updateString("name", "eve");
            rows.updateRow();
        }
        try (Statement statement = connection.createStatement();
             ResultSet rows = statement.executeQuery("SELECT name FROM person WHERE id = 1")) {
            check(rows.next() && rows.getString(1).equals("eve"));
        }
    }

    private static List<String> rows(ResultSet rows, String... columns) throws SQLException {
        var found = new ArrayList<String>();
        try (rows) {
            while (rows.next()) {
                var line = new ArrayList<String>();
                for (String column : columns) {
                    line.add(rows.getString(column));
                }
                found.add(String.join(" ", line));
            }
        }
        return found;
    }

    /** What Hibernate, DBeaver and BI tools ask at start. */
    private static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData data = connection.getMetaData();
        same("PostgreSQL", data.getDatabaseProductName());
        same(15, data.getDatabaseMajorVersion());
        String catalog = connection.getCatalog();
        same(List.of("pet TABLE animals", "person TABLE null"),
            sorted(rows(data.getTables(catalog, "public", "pe%", new String[] {"TABLE"}),
                "TABLE_NAME", "TABLE_TYPE", "REMARKS")).reversedCopy());
        check(rows(data.getTables(null, null, "heavy", null), "TABLE_TYPE").contains("VIEW"));
        same(List.of("id int4 10 0 NO null", "owner int4 10 0 NO null",
                "name varchar 20 0 YES 'rex'::character varying", "weight numeric 6 2 YES null"),
            rows(data.getColumns(catalog, "public", "pet", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE",
                "DECIMAL_DIGITS", "IS_NULLABLE", "COLUMN_DEF"));
        same(List.of("id nextval('person_id_seq'::regclass) YES"),
            rows(data.getColumns(catalog, "public", "person", "id"), "COLUMN_NAME", "COLUMN_DEF", "IS_AUTOINCREMENT"));
        same(List.of("id 1 pet_pkey"), rows(data.getPrimaryKeys(catalog, "public", "pet"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"));
        var keys = new String[] {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "UPDATE_RULE",
            "DELETE_RULE", "FK_NAME", "PK_NAME", "DEFERRABILITY"};
        var key = List.of("person id pet owner 1 3 0 pet_owner person_pkey 7");
        same(key, rows(data.getImportedKeys(catalog, "public", "pet"), keys));
        same(key, rows(data.getExportedKeys(catalog, "public", "person"), keys));
        same(key, rows(data.getCrossReference(catalog, "public", "person", catalog, "public", "pet"), keys));
        same(List.of("pet_pkey f 1 id A", "pet_name t 1 name A", "pet_name t 2 owner A"),
            rows(data.getIndexInfo(catalog, "public", "pet", false, true), "INDEX_NAME", "NON_UNIQUE", "ORDINAL_POSITION",
                "COLUMN_NAME", "ASC_OR_DESC"));
        check(rows(data.getSchemas(), "TABLE_SCHEM").containsAll(List.of("information_schema", "pg_catalog", "public")));
        check(rows(data.getCatalogs(), "TABLE_CAT").contains(catalog));
        check(rows(data.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int4", "jsonb", "uuid", "timestamptz", "_text")));
        check(rows(data.getFunctions(null, "pg_catalog", "upper"), "FUNCTION_NAME").contains("upper"));
        same(List.of(), rows(data.getProcedures(null, "public", "%"), "PROCEDURE_NAME"));
        same(List.of("id"), rows(data.getBestRowIdentifier(catalog, "public", "pet", 0, true), "COLUMN_NAME"));
        check(!rows(data.getTablePrivileges(catalog, "public", "pet"), "PRIVILEGE").isEmpty());
        rows(data.getColumnPrivileges(catalog, "public", "pet", "%"), "PRIVILEGE");
        rows(data.getUDTs(null, null, "%", null), "TYPE_NAME");
        rows(data.getTableTypes(), "TABLE_TYPE");
        rows(data.getClientInfoProperties(), "NAME");
        rows(data.getVersionColumns(catalog, "public", "pet"), "COLUMN_NAME");
        check(data.getSQLKeywords().length() > 10 && data.getMaxColumnNameLength() == 63);
        check(data.getDefaultTransactionIsolation() == Connection.TRANSACTION_READ_COMMITTED);
    }

    /** A list in order, and in the reverse order. */
    private record Ordered(List<String> items) {
        List<String> reversedCopy() {
            var copy = new ArrayList<>(items);
            java.util.Collections.reverse(copy);
            return copy;
        }
    }

    private static Ordered sorted(List<String> items) {
        var copy = new ArrayList<>(items);
        java.util.Collections.sort(copy);
        return new Ordered(copy);
    }

    private static ServerErrorMessage refused(Connection connection, String state, String text) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(text);
        } catch (PSQLException error) {
            same(state, error.getSQLState(), text);
            return error.getServerErrorMessage();
        }
        throw new AssertionError("not refused: " + text);
    }

    private static void errors(Connection connection) throws SQLException {
        ServerErrorMessage error = refused(connection, "23503", "INSERT INTO pet VALUES (1, 4711)");
        same("pet_owner", error.getConstraint());
        same("pet", error.getTable());
        same("public", error.getSchema());
        same("Key (owner)=(4711) is not present in table \"person\".", error.getDetail());
        same("light", refused(connection, "23514", "INSERT INTO pet VALUES (1, 1, 'x', 100)").getConstraint());
        same("owner", refused(connection, "23502", "INSERT INTO pet VALUES (1)").getColumn());
        same(8, refused(connection, "42703", "SELECT nothing").getPosition());
        refused(connection, "42601", "SELEC");
        refused(connection, "22001", "INSERT INTO pet VALUES (1, 1, 'a name of more than twenty')");
    }

    private static void transactions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("INSERT INTO pet VALUES (1, 1)");
            Savepoint point = connection.setSavepoint("point");
            refused(connection, "23505", "INSERT INTO pet VALUES (1, 1)");
            refused(connection, "25P02", "SELECT 1");
            connection.rollback(point);
            statement.executeUpdate("INSERT INTO pet VALUES (2, 1)");
            connection.rollback();
            same(0, rows(statement.executeQuery("SELECT * FROM pet"), "id").size());
            connection.commit();
            // With a fetch size the driver reads through a portal, so many rows at a time.
            statement.setFetchSize(100);
            try (ResultSet numbers = statement.executeQuery("SELECT * FROM generate_series(1, 5000) AS n")) {
                long sum = 0;
                while (numbers.next()) {
                    sum += numbers.getInt(1);
                }
                same(12502500L, sum);
            }
            connection.commit();
        }
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        same(Connection.TRANSACTION_SERIALIZABLE, connection.getTransactionIsolation());
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        connection.setReadOnly(true);
        refused(connection, "25006", "INSERT INTO pet VALUES (3, 1)");
        connection.rollback();
        connection.setReadOnly(false);
        connection.setAutoCommit(true);
        connection.setSchema("public");
        same("public", connection.getSchema());
        check(connection.isValid(5));
    }

    private static void copies(Connection connection) throws Exception {
        var copy = connection.unwrap(PGConnection.class).getCopyAPI();
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE copied (id int, name text)");
        }
        same(2L, copy.copyIn("COPY copied FROM STDIN (FORMAT csv)", new StringReader("1,a\n2,\"b,c\"\n")));
        var out = new ByteArrayOutputStream();
        same(2L, copy.copyOut("COPY copied TO STDOUT", out));
        same("1\ta\n2\tb,c\n", out.toString(StandardCharsets.UTF_8));
        out.reset();
        copy.copyOut("COPY copied TO STDOUT (FORMAT binary)", out);
        same(2L, copy.copyIn("COPY copied FROM STDIN (FORMAT binary)", new java.io.ByteArrayInputStream(out.toByteArray())));
    }

    private static void cancelled(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            var thread = new Thread(() -> {
                try {
                    Thread.sleep(200);
                    statement.cancel();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            thread.start();
            try {
                statement.execute("SELECT pg_sleep(60)");
                throw new AssertionError("not cancelled");
            } catch (SQLException error) {
                same("57014", error.getSQLState());
            }
            thread.join();
            statement.setQueryTimeout(1);
            try {
                statement.execute("SELECT pg_sleep(60)");
                throw new AssertionError("not timed out");
            } catch (SQLException error) {
                same("57014", error.getSQLState());
            }
        }
    }

    /** The driver's other ways to talk: the simple protocol, and prepared statements from the first execution on. */
    private static void modes(Connection ignored) throws SQLException {
        for (String mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
            try (Connection connection = DriverManager.getConnection(url("&preferQueryMode=" + mode + "&prepareThreshold=-1"));
                 var select = connection.prepareStatement("SELECT ?::int + 1, ?::text, ?::timestamptz")) {
                select.setInt(1, 41);
                select.setString(2, mode);
                select.setObject(3, OffsetDateTime.of(2024, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC));
                for (int round = 0; round < 3; round++) {
                    try (ResultSet rows = select.executeQuery()) {
                        check(rows.next() && rows.getInt(1) == 42 && rows.getString(2).equals(mode), mode);
                    }
                }
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        int failed = 0;
        var steps = new java.util.LinkedHashMap<String, Step>();
        steps.put("everyType", Driver::everyType);
        steps.put("statements", Driver::statements);
        steps.put("metadata", Driver::metadata);
        steps.put("errors", Driver::errors);
        steps.put("transactions", Driver::transactions);
        steps.put("copies", Driver::copies);
        steps.put("cancelled", Driver::cancelled);
        steps.put("modes", Driver::modes);
        try (Connection connection = DriverManager.getConnection(url(""))) {
            for (var step : steps.entrySet()) {
                try {
                    step.getValue().run(connection);
                } catch (Exception | AssertionError error) {
                    failed++;
                    System.err.println(step.getKey() + ":");
                    error.printStackTrace();
                    if (!connection.getAutoCommit()) {
                        connection.rollback();
                        connection.setAutoCommit(true);
                    }
                }
            }
        }
        if (failed > 0) {
            System.exit(1);
        }
        System.out.println("JDBC " + org.postgresql.util.DriverInfo.DRIVER_VERSION + " ok");
    }
}
