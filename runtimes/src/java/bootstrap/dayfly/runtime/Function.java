package dayfly.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.Iterator;
import java.util.ServiceLoader;

/** A loaded handler of one of the forms that AWS knows. */
abstract class Function {
    private static final byte[] NULL = {'n', 'u', 'l', 'l'};

    /** Runs it on one event. A [Fault] is the platform's, any other error the user's. */
    abstract byte[] call(byte[] event, Context context) throws Throwable;

    /** Finds what `name` names: `pkg.Class`, or `pkg.Class::method`. */
    static Function load(String name, ClassLoader loader) {
        int colons = name.lastIndexOf("::");
        String owner = colons < 0 ? name : name.substring(0, colons);
        String method = colons < 0 ? null : name.substring(colons + 2);
        if (owner.isEmpty() || method != null && method.isEmpty()) {
            return new Broken(Fault.finding("Invalid handler: `" + name + "'"));
        }
        Class<?> type;
        try {
            type = Class.forName(owner, true, loader);
        } catch (ClassNotFoundException error) {
            return new Broken(Fault.classNotFound(error, owner));
        } catch (Throwable error) {
            throw Fault.initialization(error, owner);
        }
        try {
            return method == null ? implemented(type, loader) : Methods.find(type, method, loader);
        } catch (Fault fault) {
            if (fault.fatal) {
                throw fault;
            }
            return new Broken(fault);
        } catch (Throwable error) {
            return new Broken(Fault.of(error, false));
        }
    }

    private static Function implemented(Class<?> type, ClassLoader loader) throws ReflectiveOperationException {
        if (RequestStreamHandler.class.isAssignableFrom(type)) {
            return new Streams((RequestStreamHandler) Methods.instance(type));
        }
        if (!RequestHandler.class.isAssignableFrom(type)) {
            throw Fault.finding("Class does not implement an appropriate handler interface: " + type.getName());
        }
        Generics generics = Generics.of(type);
        Type input = generics.argument(RequestHandler.class, 0);
        Type output = generics.argument(RequestHandler.class, 1);
        String abstraction = "Class " + type.getName() + " does not implement RequestHandler with concrete type parameters";
        if (input == null || output == null) {
            throw Fault.finding(abstraction);
        }
        for (Type one : new Type[] {input, output}) {
            if (one instanceof TypeVariable && Generics.raw(one) == Object.class) {
                throw Fault.finding(abstraction + ": parameter " + one + " has no upper bound.");
            }
        }
        return new Values(new Implemented(Methods.instance(type)), input, output, loader);
    }

    /** What stands behind [Values]: a handler of Java values. */
    interface Body {
        Object run(Object input, Context context) throws Throwable;
    }

    private static final class Implemented implements Body {
        private final RequestHandler<Object, Object> handler;

        @SuppressWarnings("unchecked")
        Implemented(Object handler) {
            this.handler = (RequestHandler<Object, Object>) handler;
        }

        @Override
        public Object run(Object input, Context context) {
            return handler.handleRequest(input, context);
        }
    }

    /** Reads the event and writes the answer as JSON. */
    static final class Values extends Function {
        private final Body body;
        private final Type input;
        private final Type output;
        private final CustomPojoSerializer own;

        /** `input` may be `null`: the event is not looked at. */
        Values(Body body, Type input, Type output, ClassLoader loader) {
            this.body = body;
            this.input = input;
            this.output = output;
            this.own = own(loader);
        }

        private static CustomPojoSerializer own(ClassLoader loader) {
            if (loader.getResource("META-INF/services/" + CustomPojoSerializer.class.getName()) == null) {
                return null;
            }
            Iterator<CustomPojoSerializer> all = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
            CustomPojoSerializer first = all.hasNext() ? all.next() : null;
            if (first != null && all.hasNext()) {
                throw new IllegalStateException(
                        "Too many serializers provided inside the META-INF/services folder, only one is allowed");
            }
            return first;
        }

        @Override
        byte[] call(byte[] event, Context context) throws Throwable {
            Object value;
            try {
                value = input == null ? null : read(event);
            } catch (Throwable error) {
                throw new RuntimeException("An error occurred during JSON parsing", Fault.cut(error));
            }
            Object answer = body.run(value, context);
            try {
                return output == void.class || output == Void.class ? NULL : write(answer);
            } catch (Throwable error) {
                throw new RuntimeException("An error occurred during JSON serialization of response", error);
            }
        }

        private Object read(byte[] event) throws ReflectiveOperationException {
            return own == null ? Mapper.read(event, input) : own.fromJson(new ByteArrayInputStream(event), input);
        }

        private byte[] write(Object answer) throws ReflectiveOperationException {
            if (own == null) {
                return Mapper.write(answer, output);
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            own.toJson(answer, out, output);
            return out.toByteArray();
        }
    }

    /** Hands on bytes. */
    static final class Streams extends Function {
        private final RequestStreamHandler handler;

        Streams(RequestStreamHandler handler) {
            this.handler = handler;
        }

        @Override
        byte[] call(byte[] event, Context context) throws Throwable {
            InputStream input = new ByteArrayInputStream(event);
            ByteArrayOutputStream output = new ByteArrayOutputStream(1024);
            handler.handleRequest(input, (OutputStream) output, context);
            return output.toByteArray();
        }
    }

    /** Cannot be called, and says so every time, as AWS's client does. */
    private static final class Broken extends Function {
        private final Fault fault;

        Broken(Fault fault) {
            this.fault = fault;
        }

        @Override
        byte[] call(byte[] event, Context context) {
            throw fault;
        }
    }
}
