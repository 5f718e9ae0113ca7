package javafx.util;

public class Duration {
    private Duration() {}
    public static native Duration millis(double ms);
    public static native Duration seconds(double s);
}
