package dayfly.runtime;

import java.lang.reflect.Method;
import java.math.BigDecimal;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeParseException;
import java.util.Calendar;
import java.util.Date;
import java.util.List;

/** Points and lengths of time: numbers of seconds since 1970 (milliseconds for dates), arrays of fields, ISO text. */
final class Times {
    private static final BigDecimal BILLION = BigDecimal.valueOf(1_000_000_000L);

    private Times() {}

    static Object read(Object node, Class<?> type) {
        if (type == Date.class) {
            return date(node);
        }
        if (type == Calendar.class) {
            Calendar calendar = Calendar.getInstance();
            calendar.setTime(date(node));
            return calendar;
        }
        if (node instanceof JsonReader.Digits) {
            return ofSeconds(new BigDecimal(((JsonReader.Digits) node).text), type);
        }
        if (node instanceof List) {
            return ofFields((List<?>) node, type);
        }
        return parsed(node.toString(), type);
    }

    private static Date date(Object node) {
        if (node instanceof JsonReader.Digits) {
            JsonReader.Digits digits = (JsonReader.Digits) node;
            // Streams of tables give seconds with a fraction.
            BigDecimal number = new BigDecimal(digits.text);
            return new Date((digits.whole ? number : number.movePointRight(3)).longValue());
        }
        String text = node.toString();
        try {
            if (text.length() == "2026-01-31".length()) {
                return Date.from(LocalDate.parse(text).atStartOfDay().toInstant(ZoneOffset.UTC));
            }
            int zone = text.length() - 5;
            boolean bare = zone > 10 && (text.charAt(zone) == '+' || text.charAt(zone) == '-');
            String iso = bare ? text.substring(0, zone + 3) + ":" + text.substring(zone + 3) : text;
            return Date.from(OffsetDateTime.parse(iso).toInstant());
        } catch (DateTimeParseException wrong) {
            return Date.from(LocalDateTime.parse(text).toInstant(ZoneOffset.UTC));
        }
    }

    private static Object ofSeconds(BigDecimal seconds, Class<?> type) {
        BigDecimal[] parts = seconds.multiply(BILLION).divideAndRemainder(BILLION);
        if (type == Duration.class) {
            return Duration.ofSeconds(parts[0].longValue(), parts[1].longValue());
        }
        Instant instant = Instant.ofEpochSecond(parts[0].longValue(), parts[1].longValue());
        if (type == Instant.class) {
            return instant;
        }
        if (type == ZonedDateTime.class) {
            return instant.atZone(java.time.ZoneId.of("UTC"));
        }
        return type == OffsetDateTime.class ? instant.atOffset(ZoneOffset.UTC) : Scalars.NOT_ONE;
    }

    private static Object ofFields(List<?> fields, Class<?> type) {
        int[] n = new int[7];
        for (int i = 0; i < fields.size() && i < n.length; i++) {
            n[i] = Integer.parseInt(((JsonReader.Digits) fields.get(i)).text);
        }
        if (type == LocalDate.class) {
            return LocalDate.of(n[0], n[1], n[2]);
        }
        if (type == LocalTime.class) {
            return LocalTime.of(n[0], n[1], n[2], n[3]);
        }
        return type == LocalDateTime.class ? LocalDateTime.of(n[0], n[1], n[2], n[3], n[4], n[5], n[6]) : Scalars.NOT_ONE;
    }

    /** Every type of `java.time` and of Joda has such a method. */
    private static Object parsed(String text, Class<?> type) {
        try {
            boolean joda = type.getName().startsWith("org.joda");
            Method parse = joda ? type.getMethod("parse", String.class) : method(type);
            return parse.invoke(null, text);
        } catch (ReflectiveOperationException wrong) {
            throw new IllegalArgumentException("no " + type.getName() + ": " + text, wrong);
        }
    }

    private static Method method(Class<?> type) throws NoSuchMethodException {
        for (Method method : type.getMethods()) {
            boolean factory = method.getName().equals("parse") || method.getName().equals("of");
            if (factory && method.getParameterCount() == 1
                    && (method.getParameterTypes()[0] == CharSequence.class
                        || method.getParameterTypes()[0] == String.class)) {
                return method;
            }
        }
        throw new NoSuchMethodException("parse");
    }

    static boolean write(Object value, JsonWriter out) {
        if (value instanceof Date) {
            out.raw(Long.toString(((Date) value).getTime()));
        } else if (value instanceof Calendar) {
            out.raw(Long.toString(((Calendar) value).getTimeInMillis()));
        } else if (value instanceof Instant) {
            seconds(((Instant) value).getEpochSecond(), ((Instant) value).getNano(), out);
        } else if (value instanceof Duration) {
            seconds(((Duration) value).getSeconds(), ((Duration) value).getNano(), out);
        } else if (value instanceof ZonedDateTime) {
            seconds(((ZonedDateTime) value).toEpochSecond(), ((ZonedDateTime) value).getNano(), out);
        } else if (value instanceof OffsetDateTime) {
            seconds(((OffsetDateTime) value).toEpochSecond(), ((OffsetDateTime) value).getNano(), out);
        } else if (value instanceof LocalDate) {
            LocalDate day = (LocalDate) value;
            fields(out, day.getYear(), day.getMonthValue(), day.getDayOfMonth());
        } else if (value instanceof LocalDateTime) {
            LocalDateTime time = (LocalDateTime) value;
            clock(out, time.toLocalTime(), time.getYear(), time.getMonthValue(), time.getDayOfMonth());
        } else if (value instanceof LocalTime) {
            clock(out, (LocalTime) value);
        } else if (value instanceof java.time.Year) {
            out.raw(value.toString());
        } else {
            out.text(value.toString());
        }
        return true;
    }

    private static void seconds(long seconds, int nanos, JsonWriter out) {
        BigDecimal whole = BigDecimal.valueOf(seconds);
        out.raw(whole.add(BigDecimal.valueOf(nanos, 9)).toPlainString());
    }

    /** Seconds and their fraction are left out where they are nothing. */
    private static void clock(JsonWriter out, LocalTime time, int... day) {
        int[] all = {time.getHour(), time.getMinute(), time.getSecond(), time.getNano()};
        int count = time.getNano() > 0 ? 4 : time.getSecond() > 0 ? 3 : 2;
        int[] fields = new int[day.length + count];
        System.arraycopy(day, 0, fields, 0, day.length);
        System.arraycopy(all, 0, fields, day.length, count);
        fields(out, fields);
    }

    private static void fields(JsonWriter out, int... fields) {
        for (int i = 0; i < fields.length; i++) {
            out.raw(i == 0 ? '[' : ',');
            out.raw(Integer.toString(fields[i]));
        }
        out.raw(']');
    }
}
