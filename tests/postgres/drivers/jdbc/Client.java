import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

/** pgjdbc as a client. {@code ../../clients.py} says what each step has to do and print. */
public final class Client {
    private final Connection connection;
    private final String mark;

    private Client(Connection connection, String mark) {
        this.connection = connection;
        this.mark = mark;
    }

    public static void main(String[] words) throws Exception {
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
                + System.getenv("PGDATABASE");
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        // A statement is prepared by name at its first use.
        properties.setProperty("prepareThreshold", "1");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            Client client = new Client(connection, words[1]);
            System.out.println("{" + String.join(", ", client.step(words[0])) + "}");
        }
    }

    private List<String> step(String name) throws Exception {
        return switch (name) {
            case "read" -> read();
            case "write" -> write();
            case "prepared" -> prepared();
            case "copy" -> copy();
            case "cancel" -> cancel();
            default -> throw new IllegalArgumentException(name);
        };
    }

    private List<String> read() throws SQLException {
        int rows = 0;
        try (Statement statement = connection.createStatement()) {
            String name = text(statement, "SELECT name FROM items WHERE id = 7");
            try (ResultSet found = statement.executeQuery("SELECT id FROM items ORDER BY id")) {
                while (found.next()) {
                    rows++;
                }
            }
            return List.of(pair("name", name), pair("rows", rows));
        }
    }

    private List<String> write() throws SQLException {
        List<String> found = new ArrayList<>();
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            try {
                found.add(pair("count", statement.executeUpdate("DELETE FROM items WHERE id <= 10 " + mark)));
                connection.commit();
            } catch (PSQLException error) {
                found.addAll(told(error));
                connection.rollback();
            }
            found.add(pair("after", Integer.valueOf(text(statement, "SELECT 1"))));
            connection.commit();
        }
        return found;
    }

    private List<String> prepared() throws SQLException {
        List<String> names = new ArrayList<>();
        try (PreparedStatement one = connection.prepareStatement("SELECT name FROM items WHERE id = ?")) {
            for (int id : new int[] {3, 4}) {
                one.setInt(1, id);
                try (ResultSet found = one.executeQuery()) {
                    found.next();
                    names.add("\"" + found.getString(1) + "\"");
                }
            }
        }
        String delete = "DELETE FROM items WHERE id = ? AND name = ? " + mark;
        try (PreparedStatement gone = connection.prepareStatement(delete)) {
            gone.setInt(1, 11);
            gone.setString(2, "item 11");
            return List.of("\"names\": " + names, pair("count", gone.executeUpdate()));
        }
    }

    private List<String> copy() throws SQLException, IOException {
        StringBuilder data = new StringBuilder();
        for (int n = 1001; n <= 2000; n++) {
            data.append(n).append("\tcopied ").append(n).append('\n');
        }
        CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
        manager.copyIn("COPY items (id, name) FROM STDIN", new StringReader(data.toString()));
        StringWriter out = new StringWriter();
        manager.copyOut("COPY (SELECT id, name FROM items WHERE id > 1000 ORDER BY id) TO STDOUT", out);
        String[] rows = out.toString().split("\n");
        return List.of(pair("copied", rows.length), pair("last", rows[rows.length - 1].split("\t")[1]));
    }

    private List<String> cancel() throws SQLException {
        List<String> found = new ArrayList<>();
        try (Statement statement = connection.createStatement()) {
            Thread ask = new Thread(() -> {
                try {
                    while (System.in.read() != '\n') {
                        // Nothing but the line's end is of interest.
                    }
                    statement.cancel();
                } catch (IOException | SQLException error) {
                    error.printStackTrace();
                }
            });
            ask.setDaemon(true);
            ask.start();
            try {
                found.add(pair("count", statement.executeUpdate("DELETE FROM items WHERE id <= 20 " + mark)));
            } catch (PSQLException error) {
                found.addAll(told(error));
            }
            found.add(pair("after", Integer.valueOf(text(statement, "SELECT 1"))));
        }
        return found;
    }

    private static String text(Statement statement, String sql) throws SQLException {
        try (ResultSet found = statement.executeQuery(sql)) {
            found.next();
            return found.getString(1);
        }
    }

    private static List<String> told(PSQLException error) {
        return List.of(pair("error", error.getSQLState()), pair("words", error.getServerErrorMessage().getMessage()));
    }

    private static String pair(String name, String value) {
        return "\"" + name + "\": \"" + value.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
    }

    private static String pair(String name, int value) {
        return "\"" + name + "\": " + value;
    }
}
