package dayfly.runtime;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON into maps, lists, strings, numbers, booleans and `null`. As lenient as AWS's client: single quotes, names
 * without quotes, leading zeros, NaN, any escape, line breaks in strings, and whatever comes after the first value.
 */
final class JsonReader {
    private static final int DEPTH = 1000;
    private static final int INT_DIGITS = 9;
    private static final int LONG_DIGITS = 18;

    /** A number as it was written, for readers that know what they want. */
    static final class Digits {
        final String text;
        final boolean whole;

        Digits(String text, boolean whole) {
            this.text = text;
            this.whole = whole;
        }

        /** The smallest of int, long and big integer that holds it, or a double. */
        Object natural() {
            if (!whole) {
                return Double.valueOf(text);
            }
            if (text.length() <= INT_DIGITS) {
                return Integer.valueOf(text);
            }
            if (text.length() > LONG_DIGITS) {
                BigInteger big = new BigInteger(text);
                return big.bitLength() < Long.SIZE ? fit(big.longValue()) : big;
            }
            return fit(Long.parseLong(text));
        }

        private static Object fit(long value) {
            return value == (int) value ? (Object) (int) value : (Object) value;
        }
    }

    private final String text;
    private final boolean natural;
    private int at;
    private int depth;

    private JsonReader(String text, boolean natural) {
        this.text = text;
        this.natural = natural;
    }

    /** A value with natural numbers. */
    static Object read(String text) {
        return new JsonReader(text, true).root();
    }

    /** A value whose numbers are [Digits]. */
    static Object digits(String text) {
        return new JsonReader(text, false).root();
    }

    private Object root() {
        if (text.startsWith("\ufeff")) {
            at = 1;
        }
        return value();
    }

    private IllegalArgumentException wrong(String what) {
        return new IllegalArgumentException("JSON: " + what + " at character " + at);
    }

    private char peek() {
        while (at < text.length()) {
            char c = text.charAt(at);
            if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
                return c;
            }
            at++;
        }
        throw wrong("unexpected end");
    }

    private Object value() {
        char c = peek();
        switch (c) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
            case '\'':
                return string(c);
            default:
                return c == '-' || c == '+' || c >= '0' && c <= '9' ? number(c) : word();
        }
    }

    private Map<String, Object> object() {
        deeper();
        Map<String, Object> map = new LinkedHashMap<>();
        at++;
        if (peek() == '}') {
            at++;
            depth--;
            return map;
        }
        while (true) {
            char c = peek();
            String name = c == '"' || c == '\'' ? string(c) : name();
            if (peek() != ':') {
                throw wrong("expected ':'");
            }
            at++;
            map.put(name, value());
            if (ends('}')) {
                return map;
            }
        }
    }

    private List<Object> array() {
        deeper();
        List<Object> list = new ArrayList<>();
        at++;
        if (peek() == ']') {
            at++;
            depth--;
            return list;
        }
        while (true) {
            list.add(value());
            if (ends(']')) {
                return list;
            }
        }
    }

    private void deeper() {
        if (++depth > DEPTH) {
            throw wrong("nested deeper than " + DEPTH);
        }
    }

    private boolean ends(char closing) {
        char c = peek();
        if (c != ',' && c != closing) {
            throw wrong("expected ',' or '" + closing + "'");
        }
        at++;
        if (c == closing) {
            depth--;
        }
        return c == closing;
    }

    private String string(char quote) {
        int from = ++at;
        int end = from;
        while (end < text.length() && text.charAt(end) != quote && text.charAt(end) != '\\') {
            end++;
        }
        if (end < text.length() && text.charAt(end) == quote) {
            at = end + 1;
            return text.substring(from, end);
        }
        StringBuilder out = new StringBuilder(end - from + 16);
        while (at < text.length()) {
            char c = text.charAt(at++);
            if (c == quote) {
                return out.toString();
            }
            out.append(c == '\\' ? escape() : c);
        }
        throw wrong("a string has no end");
    }

    private char escape() {
        if (at >= text.length()) {
            throw wrong("a string has no end");
        }
        char c = text.charAt(at++);
        switch (c) {
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                int unit = 0;
                for (int i = 0; i < 4; i++) {
                    int digit = at < text.length() ? Character.digit(text.charAt(at), 16) : -1;
                    if (digit < 0) {
                        throw wrong("expected four hexadecimal digits");
                    }
                    unit = unit << 4 | digit;
                    at++;
                }
                return (char) unit;
            default:
                return c;
        }
    }

    private String name() {
        int from = at;
        while (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            at++;
        }
        if (at == from) {
            throw wrong("expected a name");
        }
        return text.substring(from, at);
    }

    private Object word() {
        int from = at;
        String word = name();
        switch (word) {
            case "true":
                return Boolean.TRUE;
            case "false":
                return Boolean.FALSE;
            case "null":
                return null;
            case "NaN":
                return Double.NaN;
            case "Infinity":
                return Double.POSITIVE_INFINITY;
            default:
                at = from;
                throw wrong("unknown word '" + word + "'");
        }
    }

    private Object number(char first) {
        int from = at;
        boolean negative = first == '-';
        if (negative || first == '+') {
            at++;
        }
        if (at < text.length() && text.charAt(at) == 'I') {
            String word = name();
            if (word.equals("Infinity") || word.equals("INF")) {
                return negative ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY;
            }
        }
        if (first == '+') {
            throw wrong("unexpected '+'");
        }
        int whole = digitsFrom();
        boolean plain = true;
        if (at < text.length() && text.charAt(at) == '.') {
            at++;
            plain = false;
            digitsFrom();
        }
        if (at < text.length() && (text.charAt(at) | 32) == 'e') {
            at++;
            plain = false;
            if (at < text.length() && (text.charAt(at) == '-' || text.charAt(at) == '+')) {
                at++;
            }
            digitsFrom();
        }
        int zeros = whole;
        while (zeros < at - 1 && text.charAt(zeros) == '0' && Character.isDigit(text.charAt(zeros + 1))) {
            zeros++;
        }
        String digits = text.substring(zeros, at);
        Digits number = new Digits(negative ? "-" + digits : digits, plain);
        if (at < text.length() && Character.isJavaIdentifierPart(text.charAt(at))) {
            at = from;
            throw wrong("malformed number");
        }
        return natural ? number.natural() : number;
    }

    /** Passes at least one digit; where they began. */
    private int digitsFrom() {
        int from = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') {
            at++;
        }
        if (at == from) {
            throw wrong("expected a digit");
        }
        return from;
    }
}
