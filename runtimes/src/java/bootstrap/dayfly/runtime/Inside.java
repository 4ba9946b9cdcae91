package dayfly.runtime;

import java.io.FileDescriptor;
import java.lang.reflect.Field;
import java.util.Map;
import sun.misc.Unsafe;

/**
 * Reaches what Java has and does not show: an inherited descriptor, and the map behind `System.getenv`. Options that
 * open modules would do, too, but a JVM that is given any takes 10 ms longer to start.
 */
final class Inside {
    private static final Unsafe UNSAFE = unsafe();

    private Inside() {}

    private static Unsafe unsafe() {
        try {
            Field field = Unsafe.class.getDeclaredField("theUnsafe");
            field.setAccessible(true);
            return (Unsafe) field.get(null);
        } catch (ReflectiveOperationException missing) {
            throw new IllegalStateException(missing);
        }
    }

    /** Needed before [become]: the library lies beside our jar. */
    static void prepare() {
        System.load(beside("libdayfly.so"));
    }

    /** What lies beside our jar. */
    static String beside(String name) {
        String jar = System.getProperty("java.class.path");
        return jar.substring(0, jar.lastIndexOf('/') + 1) + name;
    }

    /** Gives the C library `texts`: a folder to stand in, and variables as `NAME=value`. */
    static void become(byte[] texts) {
        long place = UNSAFE.allocateMemory(texts.length);
        UNSAFE.copyMemory(texts, Unsafe.ARRAY_BYTE_BASE_OFFSET, null, place, texts.length);
        if (become(place) != 0) {
            throw new IllegalStateException("the task root cannot be entered");
        }
    }

    private static native int become(long texts);

    /** An open descriptor of this process. */
    static FileDescriptor descriptor(int number) throws NoSuchFieldException {
        FileDescriptor descriptor = new FileDescriptor();
        UNSAFE.putInt(descriptor, UNSAFE.objectFieldOffset(FileDescriptor.class.getDeclaredField("fd")), number);
        return descriptor;
    }

    /** The map of bytes that all views of the environment show. */
    @SuppressWarnings("unchecked")
    static Map<Object, Object> environment() throws ReflectiveOperationException {
        Field field = Class.forName("java.lang.ProcessEnvironment").getDeclaredField("theEnvironment");
        return (Map<Object, Object>) UNSAFE.getObject(UNSAFE.staticFieldBase(field), UNSAFE.staticFieldOffset(field));
    }

    /** An object whose constructor has not run. */
    static Object make(Class<?> type) throws InstantiationException {
        return UNSAFE.allocateInstance(type);
    }

    /** A key (`Variable`) or a value (`Value`) of that map. */
    static Object entry(String kind, String text, byte[] bytes) throws ReflectiveOperationException {
        Class<?> external = Class.forName("java.lang.ProcessEnvironment$ExternalData");
        Object entry = UNSAFE.allocateInstance(Class.forName("java.lang.ProcessEnvironment$" + kind));
        UNSAFE.putObject(entry, UNSAFE.objectFieldOffset(external.getDeclaredField("str")), text);
        UNSAFE.putObject(entry, UNSAFE.objectFieldOffset(external.getDeclaredField("bytes")), bytes);
        return entry;
    }
}
