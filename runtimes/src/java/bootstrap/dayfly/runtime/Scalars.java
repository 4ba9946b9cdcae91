package dayfly.runtime;

import java.io.File;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Calendar;
import java.util.Currency;
import java.util.Date;
import java.util.Locale;
import java.util.TimeZone;
import java.util.UUID;

/** Values that are one word of JSON. */
final class Scalars {
    /** The type is none of ours. */
    static final Object NOT_ONE = new Object();

    private Scalars() {}

    /** What a JSON word is as a `type`. Strings, numbers and booleans become one another where it makes sense. */
    static Object read(Object node, Class<?> type) {
        if (type == String.class || type == CharSequence.class) {
            return text(node);
        }
        if (type.isPrimitive() || Number.class.isAssignableFrom(type) || type == Boolean.class || type == Character.class) {
            return word(node, type);
        }
        if (type.isEnum()) {
            return constant(node, type);
        }
        if (type == byte[].class) {
            return node instanceof String ? Base64.getDecoder().decode((String) node) : NOT_ONE;
        }
        if (type == char[].class) {
            return node instanceof String ? ((String) node).toCharArray() : NOT_ONE;
        }
        String name = type.getName();
        if (name.startsWith("java.") || name.startsWith("org.joda.time.")) {
            return other(node, type, name);
        }
        return NOT_ONE;
    }

    private static String text(Object node) {
        if (node instanceof JsonReader.Digits) {
            return ((JsonReader.Digits) node).text;
        }
        if (node instanceof String || node instanceof Boolean || node instanceof Double) {
            return node.toString();
        }
        throw new IllegalArgumentException("no text: " + node);
    }

    private static Object word(Object node, Class<?> type) {
        if (!(node instanceof String || node instanceof Boolean || node instanceof Double
                || node instanceof JsonReader.Digits)) {
            throw new IllegalArgumentException("no " + type.getName() + ": " + node);
        }
        String text = text(node).trim();
        if (text.isEmpty() && type != char.class && type != Character.class) {
            return Mapper.nothing(type);
        }
        if (type == boolean.class || type == Boolean.class) {
            return truth(node, text);
        }
        if (node instanceof Boolean) {
            throw new IllegalArgumentException("no " + type.getName() + ": " + node);
        }
        return type == char.class || type == Character.class ? letter(node) : number(text, type, !(node instanceof String));
    }

    private static Boolean truth(Object node, String text) {
        if (node instanceof Boolean) {
            return (Boolean) node;
        }
        if (node instanceof JsonReader.Digits && ((JsonReader.Digits) node).whole) {
            return !text.equals("0");
        }
        switch (text) {
            case "true":
            case "True":
            case "TRUE":
                return true;
            case "false":
            case "False":
            case "FALSE":
                return false;
            default:
                throw new IllegalArgumentException("no boolean: " + text);
        }
    }

    private static Character letter(Object node) {
        if (node instanceof JsonReader.Digits) {
            return (char) Integer.parseInt(((JsonReader.Digits) node).text);
        }
        String text = node.toString();
        if (text.length() > 1) {
            throw new IllegalArgumentException("no character: " + text);
        }
        return text.isEmpty() ? '\0' : text.charAt(0);
    }

    private static Object number(String text, Class<?> type, boolean isNumber) {
        if (type == double.class || type == Double.class) {
            return real(text);
        }
        if (type == float.class || type == Float.class) {
            return (float) real(text);
        }
        if (type == BigDecimal.class) {
            return new BigDecimal(text);
        }
        if (type == Number.class) {
            boolean whole = text.indexOf('.') < 0 && text.indexOf('e') < 0 && text.indexOf('E') < 0;
            return new JsonReader.Digits(text, whole).natural();
        }
        BigInteger whole = isWhole(text) || !isNumber ? new BigInteger(text) : new BigDecimal(text).toBigInteger();
        if (type == BigInteger.class) {
            return whole;
        }
        if (type == long.class || type == Long.class) {
            return whole.longValueExact();
        }
        if (type == int.class || type == Integer.class) {
            return whole.intValueExact();
        }
        if (type == short.class || type == Short.class) {
            return whole.shortValueExact();
        }
        if (type == byte.class || type == Byte.class) {
            int value = whole.intValueExact();
            if (value < -128 || value > 255) {
                throw new ArithmeticException("no byte: " + text);
            }
            return (byte) value;
        }
        return NOT_ONE;
    }

    private static double real(String text) {
        switch (text) {
            case "INF":
                return Double.POSITIVE_INFINITY;
            case "-INF":
                return Double.NEGATIVE_INFINITY;
            default:
                return Double.parseDouble(text);
        }
    }

    private static boolean isWhole(String text) {
        for (int i = text.startsWith("-") ? 1 : 0; i < text.length(); i++) {
            if (text.charAt(i) < '0' || text.charAt(i) > '9') {
                return false;
            }
        }
        return true;
    }

    /** An unknown name is `null`. */
    private static Object constant(Object node, Class<?> type) {
        Object[] constants = type.getEnumConstants();
        if (node instanceof JsonReader.Digits) {
            int index = Integer.parseInt(((JsonReader.Digits) node).text);
            return index < 0 || index >= constants.length ? null : constants[index];
        }
        String name = text(node).trim();
        for (Object constant : constants) {
            if (((Enum<?>) constant).name().equals(name)) {
                return constant;
            }
        }
        return null;
    }

    private static Object other(Object node, Class<?> type, String name) {
        if (type == Date.class || type == Calendar.class || name.startsWith("java.time.") || name.startsWith("org.joda")) {
            return Times.read(node, type);
        }
        if (!(node instanceof String)) {
            return NOT_ONE;
        }
        String text = (String) node;
        switch (name) {
            case "java.util.UUID":
                return UUID.fromString(text);
            case "java.net.URI":
                return URI.create(text);
            case "java.net.URL":
                try {
                    return URI.create(text).toURL();
                } catch (java.net.MalformedURLException wrong) {
                    throw new IllegalArgumentException(wrong);
                }
            case "java.io.File":
                return new File(text);
            case "java.util.Locale":
                return Locale.forLanguageTag(text.replace('_', '-'));
            case "java.util.Currency":
                return Currency.getInstance(text);
            case "java.util.TimeZone":
                return TimeZone.getTimeZone(text);
            case "java.nio.ByteBuffer":
                return ByteBuffer.wrap(Base64.getDecoder().decode(text));
            case "java.lang.StringBuilder":
                return new StringBuilder(text);
            default:
                return NOT_ONE;
        }
    }

    /** Writes it; whether it is one of ours. */
    static boolean write(Object value, JsonWriter out) {
        if (value instanceof CharSequence || value instanceof Character) {
            out.text(value.toString());
        } else if (value instanceof Number) {
            number((Number) value, out);
        } else if (value instanceof Boolean) {
            out.raw(value.toString());
        } else if (value instanceof Enum) {
            out.text(((Enum<?>) value).name());
        } else if (value instanceof byte[]) {
            out.text(Base64.getEncoder().encodeToString((byte[]) value));
        } else if (value instanceof char[]) {
            out.text(new String((char[]) value));
        } else {
            return other(value, out);
        }
        return true;
    }

    private static void number(Number value, JsonWriter out) {
        String text = value.toString();
        char last = text.charAt(text.length() - 1);
        if (last == 'N' || last == 'y') {
            out.text(text);
        } else {
            out.raw(text);
        }
    }

    private static boolean other(Object value, JsonWriter out) {
        String name = value.getClass().getName();
        if (value instanceof Date || value instanceof Calendar || name.startsWith("java.time.") || name.startsWith("org.joda")) {
            return Times.write(value, out);
        }
        if (value instanceof UUID || value instanceof URI || value instanceof java.net.URL || value instanceof Locale
                || value instanceof Currency) {
            out.text(value.toString());
        } else if (value instanceof File) {
            out.text(((File) value).getAbsolutePath());
        } else if (value instanceof TimeZone) {
            out.text(((TimeZone) value).getID());
        } else if (value instanceof Class) {
            out.text(((Class<?>) value).getName());
        } else if (value instanceof ByteBuffer) {
            ByteBuffer copy = ((ByteBuffer) value).duplicate();
            byte[] bytes = new byte[copy.remaining()];
            copy.get(bytes);
            out.text(Base64.getEncoder().encodeToString(bytes));
        } else {
            return false;
        }
        return true;
    }
}
