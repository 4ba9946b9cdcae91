package dayfly.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;

/** JSON to Java values of a type and back, by the rules of AWS's client. */
final class Mapper {
    private static final int DEPTH = 1000;

    private Mapper() {}

    /** The event as a `type`. */
    static Object read(byte[] json, Type type) throws ReflectiveOperationException {
        String text = new String(json, StandardCharsets.UTF_8);
        if (isNatural(type)) {
            return JsonReader.read(text);
        }
        return value(JsonReader.digits(text), type);
    }

    private static boolean isNatural(Type type) {
        return type == Object.class;
    }

    /** What `null` is. */
    static Object nothing(Class<?> type) {
        return type.isPrimitive() && type != void.class ? Array.get(Array.newInstance(type, 1), 0) : null;
    }

    private static Object value(Object node, Type type) throws ReflectiveOperationException {
        Class<?> raw = Generics.raw(type);
        if (raw == Optional.class) {
            return node == null ? Optional.empty() : Optional.ofNullable(value(node, argument(type, 0)));
        }
        if (node == null) {
            return nothing(raw);
        }
        if (raw == Object.class) {
            return natural(node);
        }
        Object scalar = unwrapped(node, raw);
        if (scalar != Scalars.NOT_ONE) {
            return scalar;
        }
        if (raw.isArray()) {
            return array(node, raw, type);
        }
        if (Map.class.isAssignableFrom(raw)) {
            return map(node, raw, type);
        }
        if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) {
            return collection(node, raw, type);
        }
        return bean(node, raw, type);
    }

    /** A scalar; one that stands alone in an array counts, too. */
    private static Object unwrapped(Object node, Class<?> raw) {
        boolean alone = node instanceof List && ((List<?>) node).size() == 1;
        if (!alone || raw.isArray() || raw.getName().startsWith("java.time.")) {
            return node instanceof List && (raw.isArray() || !isWord(raw)) && !raw.getName().startsWith("java.time.")
                    ? Scalars.NOT_ONE
                    : node instanceof Map && !isWord(raw) ? Scalars.NOT_ONE : Scalars.read(node, raw);
        }
        Object only = ((List<?>) node).get(0);
        return only == null ? isWord(raw) ? nothing(raw) : Scalars.NOT_ONE : Scalars.read(only, raw);
    }

    private static boolean isWord(Class<?> raw) {
        return raw == String.class || raw.isPrimitive() || Number.class.isAssignableFrom(raw) || raw == Boolean.class
                || raw == Character.class || raw.isEnum();
    }

    /** Numbers become what they are by themselves, however deep. */
    @SuppressWarnings("unchecked")
    private static Object natural(Object node) {
        if (node instanceof JsonReader.Digits) {
            return ((JsonReader.Digits) node).natural();
        }
        if (node instanceof Map) {
            for (Map.Entry<String, Object> entry : ((Map<String, Object>) node).entrySet()) {
                entry.setValue(natural(entry.getValue()));
            }
        } else if (node instanceof List) {
            List<Object> list = (List<Object>) node;
            for (int i = 0; i < list.size(); i++) {
                list.set(i, natural(list.get(i)));
            }
        }
        return node;
    }

    private static Type argument(Type type, int index) {
        if (!(type instanceof ParameterizedType)) {
            return Object.class;
        }
        Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
        return index < arguments.length ? arguments[index] : Object.class;
    }

    private static List<?> list(Object node) {
        return node instanceof List ? (List<?>) node : Collections.singletonList(node);
    }

    private static Object array(Object node, Class<?> raw, Type type) throws ReflectiveOperationException {
        if ("".equals(node)) {
            return null;
        }
        List<?> nodes = list(node);
        Type element = type instanceof java.lang.reflect.GenericArrayType
                ? ((java.lang.reflect.GenericArrayType) type).getGenericComponentType()
                : raw.getComponentType();
        Object array = Array.newInstance(raw.getComponentType(), nodes.size());
        for (int i = 0; i < nodes.size(); i++) {
            Array.set(array, i, value(nodes.get(i), element));
        }
        return array;
    }

    @SuppressWarnings("unchecked")
    private static Object map(Object node, Class<?> raw, Type type) throws ReflectiveOperationException {
        if (!(node instanceof Map)) {
            return instead(node, raw, type);
        }
        Generics generics = Generics.of(type);
        Type key = known(generics.argument(Map.class, 0), argument(type, 0));
        Type element = known(generics.argument(Map.class, 1), argument(type, 1));
        if (raw == Map.class && Generics.raw(key) == String.class && element == Object.class) {
            return natural(node);
        }
        Map<Object, Object> map;
        if (raw.isAssignableFrom(LinkedHashMap.class)) {
            map = new LinkedHashMap<>();
        } else if (raw.isAssignableFrom(TreeMap.class)) {
            map = new TreeMap<>();
        } else if (raw.isInterface()) {
            map = (Map<Object, Object>) (Object) new java.util.concurrent.ConcurrentSkipListMap<>();
        } else {
            map = (Map<Object, Object>) Bean.of(raw).make();
        }
        for (Map.Entry<String, Object> entry : ((Map<String, Object>) node).entrySet()) {
            map.put(value(entry.getKey(), key), value(entry.getValue(), element));
        }
        return map;
    }

    private static Type known(Type found, Type otherwise) {
        return found == null || found instanceof java.lang.reflect.TypeVariable ? otherwise : found;
    }

    @SuppressWarnings("unchecked")
    private static Object collection(Object node, Class<?> raw, Type type) throws ReflectiveOperationException {
        if ("".equals(node)) {
            return null;
        }
        Collection<Object> all;
        if (raw.isAssignableFrom(ArrayList.class)) {
            all = new ArrayList<>();
        } else if (raw.isAssignableFrom(HashSet.class)) {
            all = new HashSet<>();
        } else if (raw.isAssignableFrom(TreeSet.class)) {
            all = new TreeSet<>();
        } else if (raw.isAssignableFrom(LinkedList.class)) {
            all = new LinkedList<>();
        } else if (raw.isAssignableFrom(ArrayDeque.class)) {
            all = new ArrayDeque<>();
        } else {
            all = (Collection<Object>) Bean.of(raw).make();
        }
        Type element = known(Generics.of(type).argument(Iterable.class, 0), argument(type, 0));
        for (Object one : list(node)) {
            all.add(value(one, element));
        }
        return all;
    }

    /** What stands where an object should: the only element of an array, or nothing. */
    private static Object instead(Object node, Class<?> raw, Type type) throws ReflectiveOperationException {
        if ("".equals(node) || node instanceof List && ((List<?>) node).isEmpty()) {
            return null;
        }
        if (node instanceof List && ((List<?>) node).size() == 1) {
            return value(((List<?>) node).get(0), type);
        }
        throw new IllegalArgumentException("no " + raw.getName() + ": " + node.getClass().getSimpleName());
    }

    @SuppressWarnings("unchecked")
    private static Object bean(Object node, Class<?> raw, Type type) throws ReflectiveOperationException {
        if (!(node instanceof Map)) {
            return instead(node, raw, type);
        }
        Bean known = Bean.of(raw);
        Object bean = known.make();
        Generics generics = Generics.of(type);
        for (Map.Entry<String, Object> member : ((Map<String, Object>) node).entrySet()) {
            Bean.Property property = known.find(member.getKey());
            Type wanted = property == null ? null : property.settable();
            if (wanted != null) {
                property.set(bean, value(member.getValue(), generics.resolve(wanted)));
            }
        }
        return bean;
    }

    /**
     * The answer, which the handler calls a `type`. Of its objects, and of those in its lists and maps, only what the
     * declared class has is written; what these hold is written as it is.
     */
    static byte[] write(Object value, Type type) throws ReflectiveOperationException {
        JsonWriter out = new JsonWriter();
        write(value, type, out, 0);
        return out.bytes();
    }

    private static void write(Object value, Type type, JsonWriter out, int depth) throws ReflectiveOperationException {
        if (depth > DEPTH) {
            throw new IllegalArgumentException("nested deeper than " + DEPTH + ", or a circle");
        }
        if (value == null) {
            out.raw("null");
        } else if (value instanceof Map) {
            writeMap((Map<?, ?>) value, argument(type, 1), out, depth);
        } else if (value instanceof Iterable && !(value instanceof java.nio.file.Path)) {
            writeAll(((Iterable<?>) value).iterator(), argument(type, 0), out, depth);
        } else if (value instanceof Optional) {
            write(((Optional<?>) value).orElse(null), argument(type, 0), out, depth);
        } else if (Scalars.write(value, out)) {
            return;
        } else if (value.getClass().isArray()) {
            writeArray(value, out, depth);
        } else if (value instanceof Iterator) {
            writeAll((Iterator<?>) value, argument(type, 0), out, depth);
        } else {
            Class<?> declared = Generics.raw(type);
            boolean known = declared != Object.class && declared.isInstance(value);
            writeBean(value, known ? declared : value.getClass(), out, depth);
        }
    }

    private static void writeMap(Map<?, ?> map, Type type, JsonWriter out, int depth)
            throws ReflectiveOperationException {
        char before = '{';
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            if (entry.getKey() == null) {
                throw new IllegalArgumentException("a map has the key null");
            }
            if (entry.getValue() != null) {
                out.raw(before);
                before = ',';
                out.text(key(entry.getKey()));
                out.raw(':');
                write(entry.getValue(), type, out, depth + 1);
            }
        }
        out.raw(before == '{' ? "{}" : "}");
    }

    private static String key(Object key) {
        return key instanceof Enum ? ((Enum<?>) key).name() : key instanceof Class ? ((Class<?>) key).getName() : key.toString();
    }

    private static void writeAll(Iterator<?> all, Type type, JsonWriter out, int depth)
            throws ReflectiveOperationException {
        out.raw('[');
        for (boolean first = true; all.hasNext(); first = false) {
            if (!first) {
                out.raw(',');
            }
            write(all.next(), type, out, depth + 1);
        }
        out.raw(']');
    }

    private static void writeArray(Object array, JsonWriter out, int depth) throws ReflectiveOperationException {
        Class<?> type = array.getClass().getComponentType();
        out.raw('[');
        for (int i = 0; i < Array.getLength(array); i++) {
            if (i > 0) {
                out.raw(',');
            }
            write(Array.get(array, i), type, out, depth + 1);
        }
        out.raw(']');
    }

    private static void writeBean(Object value, Class<?> type, JsonWriter out, int depth)
            throws ReflectiveOperationException {
        char before = '{';
        for (Bean.Property property : Bean.of(type).properties.values()) {
            Object inner = property.isReadable() ? property.get(value) : null;
            if (inner == value) {
                throw new IllegalArgumentException(type.getName() + "." + property.name + " is the object itself");
            }
            if (inner != null) {
                out.raw(before);
                before = ',';
                out.text(property.name);
                out.raw(':');
                write(inner, Object.class, out, depth + 1);
            }
        }
        out.raw(before == '{' ? "{}" : "}");
    }
}
