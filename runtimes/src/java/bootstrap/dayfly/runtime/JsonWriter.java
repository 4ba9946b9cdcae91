package dayfly.runtime;

import java.nio.charset.StandardCharsets;

/** The letters of JSON. What a value's letters are, [Mapper] knows. */
final class JsonWriter {
    private static final String HEX = "0123456789ABCDEF";

    private final StringBuilder out = new StringBuilder(256);

    void raw(char c) {
        out.append(c);
    }

    void raw(String letters) {
        out.append(letters);
    }

    void member(String name, String value) {
        text(name);
        out.append(':');
        text(value);
    }

    /** A string in quotes, or `null`. */
    void text(String value) {
        if (value == null) {
            out.append("null");
            return;
        }
        out.append('"');
        int done = 0;
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c < ' ' || c == '"' || c == '\\' || Character.isSurrogate(c)) {
                out.append(value, done, i);
                escape(c);
                done = i + 1;
            }
        }
        out.append(value, done, value.length()).append('"');
    }

    private void escape(char c) {
        out.append('\\');
        switch (c) {
            case '\b':
                out.append('b');
                break;
            case '\f':
                out.append('f');
                break;
            case '\n':
                out.append('n');
                break;
            case '\r':
                out.append('r');
                break;
            case '\t':
                out.append('t');
                break;
            case '"':
            case '\\':
                out.append(c);
                break;
            default:
                out.append('u');
                for (int shift = 12; shift >= 0; shift -= 4) {
                    out.append(HEX.charAt(c >> shift & 15));
                }
        }
    }

    byte[] bytes() {
        return out.toString().getBytes(StandardCharsets.UTF_8);
    }
}
