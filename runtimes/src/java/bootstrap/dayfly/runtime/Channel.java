package dayfly.runtime;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * The framed socket to the platform on descriptor 3. Frames are [u32 LE length][u8 kind][payload];
 * `runtimes/src/channel/frame.rs` is the other end.
 */
final class Channel {
    static final int INVOKE = 1;
    static final int LOAD = 2;
    static final int READY = 16;
    static final int INIT_ERROR = 17;
    static final int RESPONSE = 18;
    static final int ERROR = 19;
    static final int LOG = 20;
    static final int LAST_ERROR = 21;
    static final int WAITS = 22;

    private static final int DESCRIPTOR = 3;
    private static final int HEAD_BYTES = 5;
    /** What the JVM reads without taking memory for it. */
    private static final int READ_BYTES = 8192;
    private static final int LARGE_READ_BYTES = 256 * 1024;
    private static final int LOG_BYTES = 256 * 1024;

    private final InputStream input;
    private final OutputStream output;
    private final byte[] ahead = new byte[READ_BYTES];
    private int start;
    private int end;

    /** The payload of the frame that `next` read last. */
    byte[] payload;

    Channel() throws ReflectiveOperationException {
        FileDescriptor descriptor = Inside.descriptor(DESCRIPTOR);
        input = new FileInputStream(descriptor);
        output = new FileOutputStream(descriptor);
    }

    /** One that is practised on. */
    Channel(InputStream input, OutputStream output) {
        this.input = input;
        this.output = output;
    }

    /** Waits for a frame, whose kind it returns. Ends the process when the platform hangs up. */
    int next() {
        byte[] head = read(HEAD_BYTES);
        payload = read(number(head, 0));
        return head[4];
    }

    /** Four bytes, the lowest first. */
    static int number(byte[] bytes, int at) {
        return bytes[at] & 255 | (bytes[at + 1] & 255) << 8 | (bytes[at + 2] & 255) << 16 | bytes[at + 3] << 24;
    }

    private byte[] read(int count) {
        byte[] bytes = new byte[count];
        int have = Math.min(count, end - start);
        System.arraycopy(ahead, start, bytes, 0, have);
        start += have;
        try {
            while (have < count) {
                int missing = count - have;
                if (missing >= READ_BYTES) {
                    have += there(input.read(bytes, have, Math.min(missing, LARGE_READ_BYTES)));
                    continue;
                }
                end = there(input.read(ahead, 0, READ_BYTES));
                start = Math.min(missing, end);
                System.arraycopy(ahead, 0, bytes, have, start);
                have += start;
            }
        } catch (IOException gone) {
            Runtime.getRuntime().halt(0);
        }
        return bytes;
    }

    private static int there(int count) {
        if (count <= 0) {
            Runtime.getRuntime().halt(0);
        }
        return count;
    }

    /** Says that it waits to be told what it is for. */
    void waits() {
        send(WAITS, new byte[HEAD_BYTES]);
    }

    /** Says that the code is loaded. */
    void ready() {
        send(READY, new byte[HEAD_BYTES]);
    }

    /** Says why it could not be loaded. */
    void initError(byte[] json) {
        byte[] frame = new byte[HEAD_BYTES + json.length];
        System.arraycopy(json, 0, frame, HEAD_BYTES, json.length);
        send(INIT_ERROR, frame);
    }

    /** Answers the call `id` with `count` bytes of `body`. */
    void answer(int kind, String id, byte[] body, int count) {
        byte[] name = id.getBytes(StandardCharsets.UTF_8);
        byte[] frame = new byte[HEAD_BYTES + 1 + name.length + count];
        frame[HEAD_BYTES] = (byte) name.length;
        System.arraycopy(name, 0, frame, HEAD_BYTES + 1, name.length);
        System.arraycopy(body, 0, frame, HEAD_BYTES + 1 + name.length, count);
        send(kind, frame);
    }

    /** One log record, however many lines it has. */
    void log(byte[] text, long microseconds) {
        int count = Math.min(text.length, LOG_BYTES);
        if (count > 0 && text[count - 1] == '\n') {
            count--;
        }
        byte[] frame = new byte[HEAD_BYTES + 8 + count];
        for (int i = 0; i < 8; i++) {
            frame[HEAD_BYTES + i] = (byte) (microseconds >>> 8 * i);
        }
        System.arraycopy(text, 0, frame, HEAD_BYTES + 8, count);
        send(LOG, frame);
    }

    /** Fills in the head and writes the frame whole. */
    private synchronized void send(int kind, byte[] frame) {
        int length = frame.length - HEAD_BYTES;
        for (int i = 0; i < 4; i++) {
            frame[i] = (byte) (length >>> 8 * i);
        }
        frame[4] = (byte) kind;
        try {
            output.write(frame);
        } catch (IOException gone) {
            Runtime.getRuntime().halt(0);
        }
    }
}
