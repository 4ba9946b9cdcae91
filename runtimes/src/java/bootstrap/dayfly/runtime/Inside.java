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
