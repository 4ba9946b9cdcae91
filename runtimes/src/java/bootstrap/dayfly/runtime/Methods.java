package dayfly.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.util.ArrayList;
import java.util.List;

/** Handlers that are named by class and method. */
final class Methods {
    private static final byte[] NULL = {'n', 'u', 'l', 'l'};

    private Methods() {}

    /** The method of that name that AWS's client would take: the longest, where a context counts twice. */
    static Function find(Class<?> type, String name, ClassLoader loader) throws ReflectiveOperationException {
        List<Method> named = new ArrayList<>();
        try {
            for (Method method : type.getMethods()) {
                if (method.getName().equals(name)) {
                    insert(named, method);
                }
            }
        } catch (NoClassDefFoundError error) {
            Fault fault = Fault.of(error, false);
            throw new Fault("Error loading method " + name + " on class " + type.getName(), fault.type, fault.trace, false);
        }
        for (Method method : named) {
            Function function = function(type, method, loader);
            if (function != null) {
                return function;
            }
        }
        throw Fault.finding("No public method named " + name + " with appropriate method signature found on class "
                + type.getName());
    }

    /** Best first; of equals, the earlier stays the better. */
    private static void insert(List<Method> sorted, Method method) {
        int at = 0;
        while (at < sorted.size() && weight(sorted.get(at)) >= weight(method)) {
            at++;
        }
        sorted.add(at, method);
    }

    private static int weight(Method method) {
        Class<?>[] parameters = method.getParameterTypes();
        boolean context = parameters.length > 0 && parameters[parameters.length - 1] == Context.class;
        return (method.isBridge() ? 0 : 1 << 16) + parameters.length + (context ? 1 : 0);
    }

    private static Function function(Class<?> type, Method method, ClassLoader loader)
            throws ReflectiveOperationException {
        Type[] parameters = method.getGenericParameterTypes();
        int count = parameters.length;
        boolean context = count > 0 && parameters[count - 1] == Context.class;
        int given = context ? count - 1 : count;
        boolean input = given > 0 && parameters[0] == InputStream.class;
        boolean output = given > 0 && parameters[given - 1] == OutputStream.class;
        boolean streams = (input || output) && given == (input ? 1 : 0) + (output ? 1 : 0);
        if (streams) {
            if (method.getReturnType() != void.class && method.getReturnType() != Void.class) {
                System.err.println("Will ignore return type " + method.getReturnType() + " on byte stream handler");
            }
            return new Function.Streams(new Streamed(method, target(type, method), input, output, context));
        }
        if (given > 1 || given == 1 && (input || output || parameters[0] == Context.class)) {
            System.err.println("Ignoring an overload of method " + method.getName() + ": " + method);
            return null;
        }
        Function.Body body = new Called(method, target(type, method), given == 1, context);
        return new Function.Values(body, given == 1 ? parameters[0] : null, method.getGenericReturnType(), loader);
    }

    private static Object target(Class<?> type, Method method) throws ReflectiveOperationException {
        return Modifier.isStatic(method.getModifiers()) ? null : instance(type);
    }

    /** A new handler object. What its constructor throws is fatal. */
    static Object instance(Class<?> type) throws ReflectiveOperationException {
        Constructor<?> constructor;
        try {
            constructor = type.getConstructor();
        } catch (NoSuchMethodException none) {
            boolean inner = type.getEnclosingClass() != null && !Modifier.isStatic(type.getModifiers());
            throw Fault.of(new Exception(inner
                    ? "Class " + type.getName() + " cannot be instantiated because it is a non-static inner class"
                    : "Class " + type.getName() + " has no public zero-argument constructor", none), false);
        }
        try {
            return constructor.newInstance();
        } catch (InvocationTargetException thrown) {
            throw Fault.of(thrown.getCause(), true);
        }
    }

    private static Object invoke(Method method, Object on, Object[] with) throws Throwable {
        try {
            return method.invoke(on, with);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    private static final class Called implements Function.Body {
        private final Method method;
        private final Object target;
        private final boolean input;
        private final boolean context;

        Called(Method method, Object target, boolean input, boolean context) {
            this.method = method;
            this.target = target;
            this.input = input;
            this.context = context;
        }

        @Override
        public Object run(Object value, Context call) throws Throwable {
            Object[] with = input && context ? new Object[] {value, call}
                    : input ? new Object[] {value}
                    : context ? new Object[] {call}
                    : new Object[0];
            return invoke(method, target, with);
        }
    }

    private static final class Streamed implements RequestStreamHandler {
        private final Method method;
        private final Object target;
        private final boolean input;
        private final boolean output;
        private final boolean context;

        Streamed(Method method, Object target, boolean input, boolean output, boolean context) {
            this.method = method;
            this.target = target;
            this.input = input;
            this.output = output;
            this.context = context;
        }

        @Override
        public void handleRequest(InputStream event, OutputStream answer, Context call) throws IOException {
            List<Object> with = new ArrayList<>(3);
            if (input) {
                with.add(event);
            }
            if (output) {
                with.add(answer);
            }
            if (context) {
                with.add(call);
            }
            try {
                invoke(method, target, with.toArray());
            } catch (Throwable error) {
                Methods.<RuntimeException>rethrow(error);
            }
            if (!output) {
                answer.write(NULL);
            }
        }
    }

    /** Throws what no signature announces. */
    @SuppressWarnings("unchecked")
    static <T extends Throwable> void rethrow(Throwable error) throws T {
        throw (T) error;
    }
}
