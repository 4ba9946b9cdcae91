package dayfly.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogFormat;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;

/** The logger of handlers: each record reaches the platform whole. */
final class Log implements LambdaLogger {
    private static final long MICROSECONDS = 1_000_000;

    private final Channel channel;
    private final LogLevel least;
    private final boolean json;
    private DateTimeFormatter times;
    /** The call that runs; `null` before the first. */
    volatile CallContext current;

    Log(Channel channel) {
        this.channel = channel;
        String level = System.getenv("AWS_LAMBDA_LOG_LEVEL");
        least = level == null ? LogLevel.UNDEFINED : LogLevel.fromString(level);
        String format = System.getenv("AWS_LAMBDA_LOG_FORMAT");
        json = format != null && LogFormat.fromString(format) == LogFormat.JSON;
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (isOn(level)) {
            write(json ? structured(message, level) : plain(message, level));
        }
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (isOn(level)) {
            write(message == null ? bytes("null") : message);
        }
    }

    /** What ended a call or kept the code from loading. */
    void fault(Fault fault) {
        log(fault.report(), json ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    private boolean isOn(LogLevel level) {
        return level == LogLevel.UNDEFINED || level.ordinal() >= least.ordinal();
    }

    private static byte[] plain(String message, LogLevel level) {
        return bytes(level == LogLevel.UNDEFINED ? String.valueOf(message) : "[" + level.name() + "] " + message);
    }

    private byte[] structured(String message, LogLevel level) {
        if (times == null) {
            times = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);
        }
        JsonWriter text = new JsonWriter();
        text.raw('{');
        text.member("timestamp", times.format(Instant.now()));
        if (message != null) {
            text.raw(',');
            text.member("message", message);
        }
        text.raw(',');
        text.member("level", level.name());
        CallContext call = current;
        if (call != null) {
            text.raw(',');
            text.member("AWSRequestId", call.getAwsRequestId());
        }
        text.raw('}');
        return text.bytes();
    }

    private void write(byte[] record) {
        Instant now = Instant.now();
        channel.log(record, now.getEpochSecond() * MICROSECONDS + now.getNano() / 1000);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
