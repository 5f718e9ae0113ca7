package qupath.lib.measurements;

import java.util.List;

public interface MeasurementList extends AutoCloseable {
    enum MeasurementListType {
        GENERAL, DOUBLE, FLOAT
    }
    void put(String name, double value);
    double get(String name);
    List<String> getMeasurementNames();
    boolean isEmpty();
    @Override
    void close();
}

public class MeasurementListFactory {
    private MeasurementListFactory() {}
    public static native MeasurementList createMeasurementList(int size, MeasurementList.MeasurementListType type);
}
