// Segment an image with an exported graph alone: ./segment end2end.onnx photo.jpg mask.png
// The graph: bisenet export bisenetv2-camvid --self-contained bgr --out DIR
// Build: g++ -std=c++17 segment.cpp -o segment -lonnxruntime $(pkg-config --cflags --libs opencv4)
#include <cstdio>
#include <onnxruntime_cxx_api.h>
#include <opencv2/imgcodecs.hpp>

int main(int, char** arguments) {
  Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "segment");
  Ort::Session session(env, arguments[1], Ort::SessionOptions());
  Ort::AllocatorWithDefaultOptions allocator;
  auto about = session.GetModelMetadata();
  auto classes = about.LookupCustomMetadataMapAllocated("classes", allocator);
  if (classes) std::printf("classes: %s\n", classes.get());

  cv::Mat image = cv::imread(arguments[2]);  // BGR, (H, W, 3)
  const int64_t shape[] = {1, image.rows, image.cols, 3};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto input = Ort::Value::CreateTensor<uint8_t>(memory, image.data, image.total() * 3, shape, 4);
  auto input_name = session.GetInputNameAllocated(0, allocator), output_name = session.GetOutputNameAllocated(0, allocator);
  const char *inputs[] = {input_name.get()}, *outputs[] = {output_name.get()};
  auto result = session.Run(Ort::RunOptions(), inputs, &input, 1, outputs, 1);
  cv::imwrite(arguments[3], cv::Mat(image.rows, image.cols, CV_8U, result[0].GetTensorMutableData<uint8_t>()));
}
