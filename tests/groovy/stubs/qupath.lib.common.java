package qupath.lib.common;

public class Version {
    private Version() {}
    public native int getMajor();
    public native int getMinor();
}
